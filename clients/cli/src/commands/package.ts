import type { Command } from 'commander';
import { type Assembly, type Client, type RequestAssemblyBodyPartsItem, wait } from '../../../api/src/index.ts';

import { action, addCommand, addGroup, collected, wholeNumber } from '../command.ts';
import { type ExitCode, exitCodes, UsageError } from '../exit-codes.ts';
import { firmwareIdOf, firmwareNameHelp } from '../firmware-name.ts';
import { formatBytes, formatTime } from '../format.ts';
import { type Output, tableLines } from '../output.ts';

interface CreateOptions {
  type: string;
  version: string;
  part: string[];
  comment?: string;
  compatibility?: string[];
  wait: boolean;
}

const pollSeconds = 1;

/** `scu package …`: packages that are made of several firmwares. */
export const addPackageCommands = (program: Command): void => {
  const group = addGroup(program, 'package', 'packages that are made of several firmwares (.swu)');
  addCommand(group, 'create', {
    summary: 'make a package and wait until it is there',
    details: `--part: ${firmwareNameHelp}. More can be said after it, separated by commas: handler=raw,device=/dev/mmcblk0p2 or path=/opt/gsm.bin`,
    examples: ['scu package create --type cabinet --version 2026.11 --part vega_mcu@1.5.0 --part vega_gsm@1.2,path=/opt/gsm/modem.bin'],
  })
    .requiredOption('--type <name>', 'the hardware type of the package')
    .requiredOption('--version <text>', 'its version')
    .requiredOption('--part <firmware>', 'a firmware that is in it; may be repeated, in the order of installation', collected)
    .option('--compatibility <revision>', 'a revision of the hardware that may install it; may be repeated', collected)
    .option('--comment <text>', 'what is new')
    .option('--no-wait', 'do not wait until it is made')
    .action(
      action<CreateOptions>(async ({ client, output, progress, signal }, options) => {
        const api = client();
        const { type: hardware_type, version, comment, compatibility } = options;
        const parts: RequestAssemblyBodyPartsItem[] = [];
        for (const part of options.part) parts.push(await toPart(api, part));
        let assembly = await api.requestAssembly(
          {
            ...{ hardware_type, version, parts },
            ...(comment !== undefined && { comment }),
            ...(compatibility && { hardware_compatibility: compatibility }),
          },
          { 'idempotency-key': crypto.randomUUID() },
        );
        while (options.wait && assembly.status === 'IN_PROGRESS') {
          progress.show(`Package ${assembly.id} is being made …`);
          await wait(pollSeconds, signal);
          assembly = await api.getAssembly(assembly.id);
        }
        progress.clear();
        await output.item(assembly, () => describePackage(assembly, output));
        return exitCodeOf(assembly);
      }),
    );
  addCommand(group, 'view <id>', { summary: 'show a package and its parts', examples: ['scu package view 3'] }).action(
    action<object, [string]>(async ({ client, output }, _, id) => {
      const assembly = await client().getAssembly(wholeNumber(id));
      await output.item(assembly, () => describePackage(assembly, output));
    }),
  );
};

const exitCodeOf = ({ status }: Assembly): ExitCode =>
  status === 'FAILED' || status === 'STALLED' ? exitCodes.unsuccessful : exitCodes.done;

const toPart = async (client: Client, text: string): Promise<RequestAssemblyBodyPartsItem> => {
  const [name = '', ...settings] = text.split(',');
  const install = Object.fromEntries(
    settings.map((setting) => {
      const [, key = '', value = ''] = /^(handler|path|device)=(.+)$/.exec(setting) ?? [];
      if (key === '') throw new UsageError(`--part ${text}: ${setting} is none of handler=…, path=…, device=…`);
      return [key, value];
    }),
  );
  return { firmware_id: await firmwareIdOf(client, name), ...(settings.length > 0 && { install }) };
};

const describePackage = (assembly: Assembly, output: Output): string[] => [
  output.paint('strong', `Package ${assembly.id}: ${assembly.hardware_type} ${assembly.version}`),
  ...output.fields({
    status: assembly.status,
    reason: assembly.reason,
    'last trouble': assembly.status === 'COMPLETED' ? null : assembly.last_error,
    firmware: assembly.firmware_id,
    size: formatBytes(assembly.size_bytes),
    'SHA-256': assembly.sha256,
    created: `${formatTime(assembly.created_dt)} by ${assembly.created_by}`,
  }),
  '',
  ...tableLines(
    ['part', 'type', 'version', 'size', 'install'],
    assembly.parts.map(({ firmware_id, hardware_type, version, size_bytes, install: { handler, path, device } }) => [
      ...[firmware_id, hardware_type, version, formatBytes(size_bytes)],
      [handler, path ?? device].filter(Boolean).join(' '),
    ]),
  ),
];
