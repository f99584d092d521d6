import type { Command } from 'commander';
import { all, type Device, type DeviceExecution, type DeviceWithHistory, type PastFirmware } from '../../../api/src/index.ts';
import { action, addCommand, addGroup, type Context } from '../command.ts';
import { addListOptions, deviceColumns, type ListOptions, listDevices } from '../device-options.ts';
import { CommandError, exitCodes, UsageError } from '../exit-codes.ts';
import { type DeviceKind, kindOption } from '../filter-options.ts';
import { formatNumber, formatTime } from '../format.ts';
import { importDevices, importStrictly, readFleet, type WrongLine } from '../import-devices.ts';
import { readText } from '../input.ts';
import { type Column, Output, tableLines } from '../output.ts';
import { sayWait } from '../wait-words.ts';
import { addDeviceChanges } from './device-change.ts';

/** `scu device …`: the fleet. */
export const addDeviceCommands = (program: Command): void => {
  const group = addGroup(program, 'device', 'the fleet: scooters and cabinets, and what they run');
  addList(group);
  addView(group);
  addImport(group);
  addExport(group);
  addDeviceChanges(group);
  addToken(group);
};

const addList = (group: Command): void => {
  const command = addCommand(group, 'list', {
    summary: 'list devices and what they run',
    examples: [
      'scu device list --kind scooter --older-than vega_mcu@1.5.0',
      'scu device list --zone north --tag night --not-running vega_mcu@1.4.0',
      'scu device list --prefix S-000',
      'scu device list --not-seen-since 2026-11-01 --json | jq -r .external_id',
    ],
  });
  addListOptions(command).action(
    action<ListOptions>(async ({ client, output }, options) => output.list(listDevices(client(), options), deviceColumns)),
  );
};

const addView = (group: Command): void => {
  addCommand(group, 'view <external-id>', {
    summary: 'show what a device runs, and its last updates',
    examples: ['scu device view S-00017', 'scu device view C-0003 --kind cabinet --history'],
  })
    .addOption(kindOption().default('scooter'))
    .option('--history', 'also what it ran before')
    .action(
      action<{ kind: DeviceKind; history?: boolean }, [string]>(async ({ client, output }, { kind, history }, externalId) => {
        const api = client();
        const get = kind === 'cabinet' ? api.getCabinet : api.getScooter;
        const listUpdates = kind === 'cabinet' ? api.listCabinetUpdates : api.listScooterUpdates;
        const device = await get(externalId);
        const pastPage = async (page: { limit: number }) => (await get(externalId, { history: true, ...page })).history ?? noPast;
        const past: PastFirmware[] = [];
        if (history) for await (const item of all(pastPage)) past.push(item);
        const updates = (await listUpdates(externalId, { limit: updatesShown })).items;
        await output.item({ ...device, ...(history && { history: past }), updates }, () => [
          ...describeDevice(device, output),
          ...describePast(past),
          ...describeUpdates(updates),
        ]);
      }),
    );
};

const updatesShown = 5;
const noPast = { items: [], next_cursor: null };

const describePast = (past: readonly PastFirmware[]): string[] => {
  if (past.length === 0) return [];
  const rows = past.map(({ hardware_type, version, firmware_update_dt, source }) => [
    hardware_type,
    version,
    formatTime(firmware_update_dt),
    source,
  ]);
  return ['', ...tableLines(['ran', 'version', 'since', 'told by'], rows)];
};

const describeUpdates = (updates: readonly DeviceExecution[]): string[] => {
  if (updates.length === 0) return [];
  const rows = updates.map(({ update_id, hardware_type, firmware_version, status, reason, finished_dt, waits_for }) => [
    ...[update_id, `${hardware_type} ${firmware_version}`, status, reason],
    waits_for === null ? formatTime(finished_dt) : `waits for ${sayWait(waits_for)}`,
  ]);
  return ['', ...tableLines(['update', 'firmware', 'status', 'reason', 'finished'], rows)];
};

const describeDevice = (device: DeviceWithHistory, output: Output): string[] => [
  output.paint('strong', `${device.kind} ${device.external_id}`),
  ...output.fields({
    generation: device.version,
    channel: device.channel,
    zone: device.zone,
    tags: device.tags.join(' '),
    revision: device.revision,
    retired: formatTime(device.retired_dt),
    seen: formatTime(device.last_seen_dt) ?? 'never',
    registered: formatTime(device.created_dt),
    before: device.aliases.map(({ external_id, until_dt }) => `${external_id} until ${formatTime(until_dt)}`).join(', '),
  }),
  '',
  ...tableLines(
    ['runs', 'version', 'newest', 'since', 'took', 'last seen with it'],
    device.firmwares.map(({ hardware_type, version, is_newest, firmware_update_dt, firmware_update_time, observed_dt }) => [
      ...[hardware_type, version, is_newest ? 'yes' : 'no', formatTime(firmware_update_dt)],
      ...[firmware_update_time === null ? null : `${firmware_update_time.toFixed(1)} s`, formatTime(observed_dt)],
    ]),
  ),
];

const addImport = (group: Command): void => {
  addCommand(group, 'import <file>', {
    summary: 'add and change devices from a CSV file',
    details:
      'Columns: external_id, and where wanted kind, version (1, 2 or nothing), channel, zone, tags (spaces between) and revision; the first ' +
      'line names them. - is standard input.\nMay be repeated: a device that is known is changed, or left as it is; so is its zone, its tags ' +
      'and its revision where a line says nothing. Lines that are wrong are reported by number, and the others stored.',
    examples: ['scu device import fleet.csv', 'scu device export --url "$OLD" | scu device import - --url "$NEW"'],
  })
    .addOption(kindOption('of devices whose line does not say it').default('scooter'))
    .option('--strict', 'stop at the first wrong line')
    .action(
      action<{ kind: DeviceKind; strict?: boolean }, [string]>(async (context, { kind, strict }, file) => {
        const { client, output, progress } = context;
        const { lines, wrong, ignored } = readFleet(await readText(file), kind);
        if (ignored.length > 0) progress.note(`Not read: the column${ignored.length > 1 ? 's' : ''} ${ignored.join(', ')}`);
        if (strict && wrong.length > 0)
          throw new CommandError(
            [...wrong.map(describeWrong), 'Nothing was stored: correct the file and repeat.'].join('\n'),
            exitCodes.refused,
          );
        if (lines.length + wrong.length === 0) throw new UsageError(`${file} holds no device`);
        for (const each of wrong) progress.note(describeWrong(each));
        const onProgress = (done: number) => progress.show(`${formatNumber(done)} of ${formatNumber(lines.length)} lines`);
        const onWrong = (each: WrongLine) => progress.note(describeWrong(each));
        const result = await (strict ? importStrictly : importDevices)(client(), lines, { onProgress, onWrong });
        progress.clear();
        const refused = [...wrong, ...result.refused].sort((a, b) => a.line - b.line);
        await output.item({ ...result, refused }, () => [
          `${formatNumber(result.created)} added, ${formatNumber(result.changed)} changed, ${formatNumber(result.unchanged)} unchanged, ` +
            `${formatNumber(refused.length)} refused`,
        ]);
        return refused.length > 0 ? exitCodes.refused : exitCodes.done;
      }),
    );
};

const describeWrong = ({ line, external_id, errors }: WrongLine): string =>
  `Line ${line}${external_id ? ` (${external_id})` : ''}: ${errors.join('; ')}`;

const addExport = (group: Command): void => {
  const command = addCommand(group, 'export', {
    summary: 'write devices, and what they run, as CSV',
    details: 'A column for each hardware type holds the version. scu device import takes the file.',
    examples: ['scu device export > fleet.csv', 'scu device export --kind scooter --not-seen-since 2026-11-01'],
  });
  addListOptions(command).action(
    action<ListOptions & { json?: boolean }>(async ({ client }: Context, options) => {
      const api = client();
      const types: string[] = [];
      for await (const { name } of all((page) => api.listHardwareTypes(page))) types.push(name);
      const versions = types.map(
        (type): Column<Device> => ({
          title: type,
          of: ({ firmwares }) => firmwares.find(({ hardware_type }) => hardware_type === type)?.version,
        }),
      );
      await new Output(options.json ? 'json' : 'csv').list(listDevices(api, options), [...exportColumns, ...versions]);
    }),
  );
};

const exportColumns: Column<Device>[] = [
  { title: 'kind', of: ({ kind }) => kind },
  { title: 'external_id', of: ({ external_id }) => external_id },
  { title: 'version', of: ({ version }) => version },
  { title: 'channel', of: ({ channel }) => channel },
  { title: 'last_seen_dt', of: ({ last_seen_dt }) => last_seen_dt },
  { title: 'zone', of: ({ zone }) => zone },
  { title: 'tags', of: ({ tags }) => tags.join(' ') },
  { title: 'revision', of: ({ revision }) => revision },
  { title: 'retired_dt', of: ({ retired_dt }) => retired_dt },
];

const addToken = (group: Command): void => {
  addCommand(group, 'token <external-id>', {
    summary: 'make a new token for a device that polls; the old one ends at once',
    details: 'The token is shown this once. The device needs it to go on polling.',
    examples: ['scu device token C-0003 --kind cabinet'],
    asks: true,
  })
    .addOption(kindOption().default('scooter'))
    .action(
      action<{ kind: DeviceKind }, [string]>(async ({ client, output, confirm }, { kind }, externalId) => {
        await confirm(`Make a new token for ${kind} ${externalId}? The one that it has ends at once.`);
        const { token } = await client().issueDeviceToken(kind, externalId);
        await output.item({ kind, external_id: externalId, token }, () => [token]);
      }),
    );
};
