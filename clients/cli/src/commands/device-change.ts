import { type Command, Option } from 'commander';
import type { ChangeDeviceBody, Client, Device, TaggedDevices } from '../../../api/src/index.ts';
import { action, addCommand, type CommonOptions, type Context, words } from '../command.ts';
import { type ExitCode, exitCodes, UsageError } from '../exit-codes.ts';
import { addFilterOptions, type DeviceKind, type FilterOptions, filterOf, isNarrow, kindOption } from '../filter-options.ts';
import { formatNumber } from '../format.ts';
import { given } from '../given.ts';

/** `scu device tag`, `change`, `rename`, `retire`, `reinstate`. */
export const addDeviceChanges = (group: Command): void => {
  addTag(group);
  addChange(group);
  addRename(group);
  addRetire(group);
  addReinstate(group);
};

interface TagOptions extends FilterOptions {
  add?: string[];
  remove?: string[];
  all?: boolean;
}

const kindHelp = 'scooter, which is the default, or cabinet';

const addTag = (group: Command): void => {
  const command = addCommand(group, 'tag [external-ids...]', {
    summary: 'add tags to devices, and take others away',
    details: 'Devices are named, or chosen by conditions. Of all of them or of none: a device has up to 20 tags. May be repeated.',
    examples: [
      'scu device tag S-00017 S-00018 --add workshop',
      'scu device tag --zone north --tag-none night --add night,autumn',
      'scu device tag --all --remove spring',
    ],
  })
    .option('--add <tags>', 'these, with commas between', words)
    .option('--remove <tags>', 'these, with commas between', words)
    .option('--all', 'every device of the kind');
  addFilterOptions(command, kindOption(kindHelp)).action(
    action<TagOptions, [string[]]>(async ({ client, output }, options, external_ids) => {
      const { kind = 'scooter', add = [], remove = [], all } = options;
      if (add.length + remove.length === 0) throw new UsageError('Which tags? Say --add, --remove or both');
      const api = client();
      const filter = await filterOf(api, options);
      const isChosen = isNarrow(filter) || all === true;
      if (external_ids.length > 0 === isChosen)
        throw new UsageError('Which devices? Name them, or say conditions such as --zone and --tag, or --all');
      const tagged = isChosen
        ? await tagEach(api, { kind, filter, add, remove })
        : await api.tagDevices({ kind, external_ids, add, remove });
      await output.item(tagged, () => [describeTagged(tagged)]);
      return tagged.unknown.length > 0 ? exitCodes.refused : exitCodes.done;
    }),
  );
};

/** One call changes so many devices at most; it is repeated until there are no more. */
const tagEach = async (api: Client, request: Parameters<Client['tagDevices']>[0]): Promise<TaggedDevices> => {
  const answer = await api.tagDevices(request);
  if (!answer.has_more) return answer;
  const rest = await tagEach(api, request);
  return { ...rest, changed: answer.changed + rest.changed };
};

const describeTagged = ({ changed, unchanged, unknown }: TaggedDevices): string =>
  [
    `${formatNumber(changed)} ${changed === 1 ? 'device has' : 'devices have'} other tags now`,
    ...(unchanged > 0 ? [`${formatNumber(unchanged)} had them already`] : []),
    ...(unknown.length > 0 ? [`not registered: ${unknown.join(', ')}`] : []),
  ].join('; ');

/** The same change of each, one after the other; stops at the first that is refused, after saying which were changed. */
const changeEach = async (
  { client, output }: Context,
  kind: DeviceKind,
  external_ids: readonly string[],
  change: ChangeDeviceBody,
  say: (device: Device) => string,
): Promise<ExitCode> => {
  const api = client();
  for (const external_id of external_ids) {
    const device = await api.changeDevice(kind, external_id, change);
    await (output.format === 'json' ? output.json(device) : output.line(say(device)));
  }
  return exitCodes.done;
};

const nameOf = ({ kind, external_id }: Pick<Device, 'kind' | 'external_id'>): string =>
  `${kind === 'scooter' ? 'Scooter' : 'Cabinet'} ${external_id}`;

interface ChangeOptions {
  kind: DeviceKind;
  zone?: string | false;
  revision?: string | false;
  version?: '1' | '2' | 'none';
  channel?: Device['channel'];
}

const addChange = (group: Command): void => {
  addCommand(group, 'change <external-ids...>', {
    summary: 'move devices into a zone, or change what they are',
    details: 'What is not named stays as it is. scu device import does it for many at once.',
    examples: ['scu device change S-00017 S-00018 --zone north', 'scu device change C-0003 --kind cabinet --no-zone --revision B2'],
  })
    .addOption(kindOption().default('scooter'))
    .option('--zone <name>', 'the zone they stand in')
    .option('--no-zone', 'they stand in no zone')
    .option('--revision <text>', 'of their hardware')
    .option('--no-revision', 'the revision of their hardware is not known')
    .addOption(new Option('--version <generation>', 'of scooters; none: with an IoT of their own').choices(['1', '2', 'none']))
    .addOption(new Option('--channel <channel>', 'how they are reached').choices(['telematics', 'iot']))
    .action(
      action<ChangeOptions, [string[]]>(async (context, { kind, zone, revision, version, channel }, external_ids) => {
        const change: ChangeDeviceBody = given({
          ...{ zone: zone === false ? null : zone, revision: revision === false ? null : revision, channel },
          version: version && generations[version],
        });
        if (Object.keys(change).length === 0) throw new UsageError('What is to be changed? Say --zone, --revision, --version or --channel');
        return changeEach(context, kind, external_ids, change, (device) => `${nameOf(device)}: ${describePlace(device)}`);
      }),
    );
};

const generations = { 1: 1, 2: 2, none: null } as const;

const describePlace = ({ zone, revision, version, channel }: Device): string =>
  [
    zone === null ? 'in no zone' : `in zone ${zone}`,
    ...(revision === null ? [] : [`revision ${revision}`]),
    ...(version === null ? [] : [`generation ${version}`]),
    `reached by ${channel}`,
  ].join(', ');

const addRename = (group: Command): void => {
  addCommand(group, 'rename <external-id> <new-id>', {
    summary: 'give a device another id, as when its tracker is moved to another frame',
    details: 'It keeps its history; scu device view shows the ids that it had before.',
    examples: ['scu device rename S-00017 S-20017'],
  })
    .addOption(kindOption().default('scooter'))
    .action(
      action<{ kind: DeviceKind }, [string, string]>(async ({ client, output }, { kind }, before, external_id) => {
        const device = await client().changeDevice(kind, before, { external_id });
        await output.item(device, () => [`${nameOf({ kind, external_id: before })} is ${external_id} now.`]);
      }),
    );
};

const addRetire = (group: Command): void => {
  addCommand(group, 'retire <external-ids...>', {
    summary: 'take devices out of service',
    details: 'They keep their history, are left out of updates, counts and budgets, and their open executions end REMOVED.',
    examples: ['scu device retire S-00017 S-00018', 'scu device retire C-0003 --kind cabinet --yes'],
    asks: true,
  })
    .addOption(kindOption().default('scooter'))
    .action(
      action<{ kind: DeviceKind } & CommonOptions, [string[]]>(async (context, { kind }, external_ids) => {
        await context.confirm(`Retire ${external_ids.join(', ')}? Nobody asks them to update then, and what they were asked for ends.`);
        return changeEach(context, kind, external_ids, { retired: true }, (device) => `${nameOf(device)} is retired.`);
      }),
    );
};

const addReinstate = (group: Command): void => {
  addCommand(group, 'reinstate <external-ids...>', {
    summary: 'take devices that were retired back into service',
    examples: ['scu device reinstate S-00017 S-00018'],
  })
    .addOption(kindOption().default('scooter'))
    .action(
      action<{ kind: DeviceKind }, [string[]]>((context, { kind }, external_ids) =>
        changeEach(context, kind, external_ids, { retired: false }, (device) => `${nameOf(device)} is in service.`),
      ),
    );
};
