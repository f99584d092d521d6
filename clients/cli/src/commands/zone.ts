import type { Command } from 'commander';
import { all, type ChangeZoneBody, type Zone } from '../../../api/src/index.ts';
import { action, addCommand, addGroup, budgetHelp, type CommonOptions, percentage } from '../command.ts';
import { UsageError } from '../exit-codes.ts';
import { formatNumber, formatTime } from '../format.ts';
import { given } from '../given.ts';
import type { Column, Output } from '../output.ts';
import { describeWindow, maintenanceWindow, windowHelp } from '../window-option.ts';

/** `scu zone …`: where devices stand. */
export const addZoneCommands = (program: Command): void => {
  const group = addGroup(program, 'zone', 'zones: where devices stand, when they may be asked, and how many of them at once');
  addList(group);
  addView(group);
  addAdd(group);
  addChange(group);
  addDelete(group);
};

const budgetOf = ({ maximum_unavailable_percentage: share }: Zone): string | null => (share === 100 ? null : `${share} %`);

const columns: Column<Zone>[] = [
  { title: 'name', of: ({ name }) => name },
  { title: 'time zone', of: ({ time_zone }) => time_zone },
  { title: 'budget', of: budgetOf },
  { title: 'window', of: ({ maintenance_window }) => describeWindow(maintenance_window) },
  { title: 'devices', of: ({ devices }) => formatNumber(devices) },
  { title: 'comment', of: ({ comment }) => comment || null },
];

const addList = (group: Command): void => {
  addCommand(group, 'list', { summary: 'list zones', examples: ['scu zone list'], hasCsv: true }).action(
    action(async ({ client, output }) => {
      const api = client();
      await output.list(
        all((page) => api.listZones(page)),
        columns,
      );
    }),
  );
};

const zoneLines = (zone: Zone, output: Output): string[] => [
  output.paint('strong', `Zone ${zone.name}`),
  ...output.fields({
    'time zone': zone.time_zone,
    budget: budgetOf(zone) ?? 'none: all devices may be at work at once',
    window: describeWindow(zone.maintenance_window) ?? 'none: devices are asked at any time',
    devices: formatNumber(zone.devices),
    comment: zone.comment,
    added: formatTime(zone.created_dt),
  }),
];

const addView = (group: Command): void => {
  addCommand(group, 'view <name>', { summary: 'show a zone', examples: ['scu zone view north'] }).action(
    action<object, [string]>(async ({ client, output }, _, name) => {
      const zone = await client().getZone(name);
      await output.item(zone, () => zoneLines(zone, output));
    }),
  );
};

interface ZoneOptions {
  timeZone?: string;
  budget?: number | false;
  window?: ReturnType<typeof maintenanceWindow> | false;
  comment?: string;
}

const addZoneOptions = (command: Command): Command =>
  command
    .option('--budget <share>', budgetHelp, percentage)
    .option('--window <times>', `devices are asked only within these hours of local time: ${windowHelp}`, maintenanceWindow)
    .option('--comment <text>', 'what for; shown with the zone');

const settingsOf = ({ timeZone, budget, window, comment }: ZoneOptions): ChangeZoneBody =>
  given({
    ...{ time_zone: timeZone, comment },
    maximum_unavailable_percentage: budget === false ? 100 : budget,
    maintenance_window: window === false ? null : window,
  });

const addAdd = (group: Command): void => {
  const command = addCommand(group, 'add <name>', {
    summary: 'add a zone',
    details:
      'May be repeated with the same settings. Devices come into it by scu device change --zone, or a column zone of scu device import.',
    examples: ['scu zone add north --time-zone Europe/Moscow --budget 10% --window 02:00-05:00'],
  }).requiredOption('--time-zone <name>', 'by its name in the IANA database, such as Europe/Moscow');
  addZoneOptions(command).action(
    action<ZoneOptions & { timeZone: string }, [string]>(async ({ client, output }, options, name) => {
      const zone = await client().addZone({ ...settingsOf(options), name, time_zone: options.timeZone });
      await output.item(zone, () => zoneLines(zone, output));
    }),
  );
};

const addChange = (group: Command): void => {
  const command = addCommand(group, 'change <name>', {
    summary: 'change a zone, for updates that are under way, too',
    details: 'What is not named stays as it is.',
    examples: [
      'scu zone change centre --budget 30%',
      'scu zone change north --no-window',
      'scu zone change north --window "22:00-04:00 friday"',
    ],
  }).option('--time-zone <name>', 'by its name in the IANA database');
  addZoneOptions(command)
    .option('--no-budget', 'all of its devices may be at work at once')
    .option('--no-window', 'its devices are asked at any time')
    .action(
      action<ZoneOptions, [string]>(async ({ client, output }, options, name) => {
        const change = settingsOf(options);
        if (Object.keys(change).length === 0)
          throw new UsageError('What is to be changed? Say --budget, --window, --time-zone or --comment');
        const zone = await client().changeZone(name, change);
        await output.item(zone, () => zoneLines(zone, output));
      }),
    );
};

const addDelete = (group: Command): void => {
  addCommand(group, 'delete <name>', {
    summary: 'delete a zone that no device is in',
    examples: ['scu zone delete depot', 'scu zone delete depot --yes'],
    asks: true,
  }).action(
    action<CommonOptions, [string]>(async ({ client, output, confirm }, _, name) => {
      await confirm(`Delete zone ${name}?`);
      await client().deleteZone(name);
      await output.item({ deleted: name }, () => [`Zone ${name} is deleted.`]);
    }),
  );
};
