import { type Command, Option } from 'commander';
import { type AddHardwareTypeBody, all, type HardwareType } from '../../../api/src/index.ts';
import { action, addCommand, addGroup, collected, wholeNumber } from '../command.ts';
import { formatBytes } from '../format.ts';
import type { Column } from '../output.ts';

const columns: Column<HardwareType>[] = [
  { title: 'name', of: ({ name }) => name },
  { title: 'devices', of: ({ device_kind }) => device_kind },
  { title: 'channel', of: ({ channel }) => channel },
  {
    title: 'fits',
    of: ({ scooter_versions, fits_own_iot }) =>
      [...scooter_versions.map((version) => `v${version}`), ...(fits_own_iot ? ['own IoT'] : [])].join(', '),
  },
  { title: 'largest file', of: ({ max_size_bytes }) => formatBytes(max_size_bytes) },
  { title: 'order', of: ({ order }) => order },
];

interface AddOptions {
  kind: HardwareType['device_kind'];
  channel: HardwareType['channel'];
  maxSize: number;
  scooterVersion?: string[];
  ownIot?: boolean;
  proof?: HardwareType['proof'];
  order?: HardwareType['order'];
  versionAttribute?: string;
}

/** `scu type …`: the components that have firmware of their own. */
export const addTypeCommands = (program: Command): void => {
  const group = addGroup(program, 'type', 'hardware types: the components that have firmware of their own');
  addCommand(group, 'list', { summary: 'list hardware types', examples: ['scu type list'], hasCsv: true }).action(
    action(async ({ client, output }) => {
      const api = client();
      await output.list(
        all((page) => api.listHardwareTypes(page)),
        columns,
      );
    }),
  );
  addCommand(group, 'add <name>', {
    summary: 'add a hardware type',
    examples: ['scu type add vega_display --kind scooter --channel telematics --max-size 2000000 --scooter-version 1 --scooter-version 2'],
  })
    .addOption(new Option('--kind <kind>', 'which devices have it').choices(['scooter', 'cabinet']).makeOptionMandatory())
    .addOption(new Option('--channel <channel>', 'how they are reached').choices(['telematics', 'iot']).makeOptionMandatory())
    .requiredOption('--max-size <bytes>', 'how large a file may be', wholeNumber)
    .option('--scooter-version <number>', 'a generation of scooters that it fits; may be repeated', collected)
    .option('--own-iot', 'it fits scooters with an IoT of their own')
    .addOption(new Option('--proof <proof>', 'what proves an installation on devices that poll').choices(['version', 'feedback']))
    .addOption(new Option('--order <order>', 'which version is newer').choices(['registration', 'semver']))
    .option('--version-attribute <name>', 'by which key devices that poll tell their version')
    .action(
      action<AddOptions, [string]>(async ({ client, output }, options, name) => {
        const { kind, channel, maxSize, scooterVersion, ownIot, proof, order, versionAttribute } = options;
        const added = await client().addHardwareType({
          ...{ name, device_kind: kind, channel, max_size_bytes: maxSize },
          ...(scooterVersion && { scooter_versions: scooterVersion.map(Number) as NonNullable<AddHardwareTypeBody['scooter_versions']> }),
          ...(ownIot && { fits_own_iot: true }),
          ...(proof && { proof }),
          ...(order && { order }),
          ...(versionAttribute !== undefined && { version_attribute: versionAttribute }),
        });
        await output.item(added, () => [`Hardware type ${name} is added.`]);
      }),
    );
};
