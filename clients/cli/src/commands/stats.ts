import type { Command } from 'commander';
import type { Stats, VersionDays } from '../../../api/src/index.ts';
import { action, addCommand, wholeNumber } from '../command.ts';
import { UsageError } from '../exit-codes.ts';
import { bar, formatCounts, formatNumber, formatShare, formatTime } from '../format.ts';
import { type Column, type Output, tableLines } from '../output.ts';

/** `scu stats`: the fleet in numbers; `scu stats versions`, `times`: of one hardware type. */
export const addStatsCommand = (program: Command): void => {
  const stats = addCommand(program, 'stats', {
    summary: 'the fleet in numbers: versions, update times, devices not seen',
    examples: ['scu stats', `scu stats --json | jq '.hardware_types[] | {hardware_type, on_newest}'`],
  })
    .option('--not-seen-days <days>', 'after how many days a device counts as not seen', wholeNumber)
    .action(
      action<{ notSeenDays?: number }>(async ({ client, output }, { notSeenDays }) => {
        const stats = await client().getStats(notSeenDays === undefined ? {} : { not_seen_days: notSeenDays });
        await output.item(stats, () => describeStats(stats, output));
      }),
    );
  addVersions(stats);
  addTimes(stats);
};

const versionsShown = 5;

const addVersions = (stats: Command): void => {
  addCommand(stats, 'versions <type>', {
    summary: 'which share of the devices ran each version, day by day',
    details: 'As each day ended, in UTC. The table has the five most common versions; --json and --csv have all.',
    examples: ['scu stats versions vega_mcu --days 30', 'scu stats versions vega_mcu --days 365 --csv > versions.csv'],
    hasCsv: true,
  })
    .option('--days <number>', 'so many days, today included', wholeNumber, 30)
    .action(
      action<{ days: number }, [string]>(async ({ client, output }, { days }, hardware_type) => {
        const answer = await client().getVersionDays({ hardware_type, days });
        if (output.format === 'csv') return output.list(everyShare(answer), shareColumns);
        await output.list(answer.days, dayColumns(answer));
      }),
    );
};

type Day = VersionDays['days'][number];
type ShareOfDay = Pick<Day, 'day'> & Day['versions'][number];

const everyShare = ({ days }: VersionDays): ShareOfDay[] =>
  days.flatMap(({ day, versions, other_versions: others }) => [
    ...versions.map((version) => ({ day, ...version })),
    ...(others.devices > 0 ? [{ day, version: '(others)', ...others }] : []),
  ]);

const shareColumns: Column<ShareOfDay>[] = [
  { title: 'day', of: ({ day }) => day },
  { title: 'version', of: ({ version }) => version },
  { title: 'devices', of: ({ devices }) => devices },
  { title: 'share', of: ({ share }) => share },
];

/** A column for each of the versions that most devices ran on any of the days, and one for all others. */
const dayColumns = ({ days }: VersionDays): Column<Day>[] => {
  const most = new Map<string, number>();
  for (const { version, devices } of days.flatMap(({ versions }) => versions)) most.set(version, Math.max(devices, most.get(version) ?? 0));
  const shown = [...most]
    .sort(([, a], [, b]) => b - a)
    .slice(0, versionsShown)
    .map(([version]) => version);
  const shareOf = (day: Day, version: string) => day.versions.find((each) => each.version === version)?.share ?? 0;
  const others = (day: Day) => Math.max(0, 1 - shown.reduce((sum, version) => sum + shareOf(day, version), 0));
  return [
    { title: 'day', of: ({ day }) => day },
    { title: 'devices', of: ({ devices }) => formatNumber(devices) },
    ...shown.map((version): Column<Day> => ({ title: version, of: (day) => formatShare(shareOf(day, version)) })),
    ...(most.size > shown.length ? [{ title: 'others', of: (day: Day) => formatShare(others(day)) }] : []),
  ];
};

type TypeStats = Stats['hardware_types'][number];
type Bucket = NonNullable<TypeStats['update_times']>['histogram'][number];

const addTimes = (stats: Command): void => {
  addCommand(stats, 'times <type>', {
    summary: 'how long updates of a hardware type took, from command to proof',
    examples: ['scu stats times vega_mcu', 'scu stats times vega_mcu --csv > times.csv'],
    hasCsv: true,
  }).action(
    action<object, [string]>(async ({ client, output }, _, type) => {
      const { hardware_types } = await client().getStats({});
      const found = hardware_types.find(({ hardware_type }) => hardware_type === type);
      if (!found) throw new UsageError(`There is no hardware type ${type}: scu type list`);
      const { update_times, firmware_update_times } = found;
      if (output.format === 'csv') return output.list(update_times?.histogram ?? [], bucketColumns);
      await output.item({ hardware_type: type, update_times, firmware_update_times }, () => describeTimes(found));
    }),
  );
};

const bucketColumns: Column<Bucket>[] = [
  { title: 'from_seconds', of: ({ from_seconds }) => from_seconds },
  { title: 'until_seconds', of: ({ until_seconds }) => until_seconds },
  { title: 'installations', of: ({ installations }) => installations },
];

const barWidth = 40;

const describeTimes = ({ update_times, firmware_update_times }: TypeStats): string[] => {
  if (update_times === null) return ['Nothing was installed yet.'];
  const most = Math.max(...update_times.histogram.map(({ installations }) => installations));
  const rows = update_times.histogram.map(({ from_seconds, until_seconds, installations }) => [
    ...[`${from_seconds} s`, `${until_seconds} s`, formatNumber(installations), bar(installations / most, barWidth).replaceAll('░', '')],
  ]);
  const firmwares = firmware_update_times.map(({ version, ...times }) => [version, ...timesRow(times)]);
  return [
    ...tableLines(['from', 'until', 'number', ''], rows),
    '',
    ...tableLines(['version', 'installations', 'p50', 'p90', 'p99', 'longest'], [['all', ...timesRow(update_times)], ...firmwares]),
  ];
};

type Times = Pick<NonNullable<TypeStats['update_times']>, 'installations' | 'p50_seconds' | 'p90_seconds' | 'p99_seconds' | 'max_seconds'>;

const timesRow = ({ installations, p50_seconds, p90_seconds, p99_seconds, max_seconds }: Times): string[] => [
  formatNumber(installations),
  ...[p50_seconds, p90_seconds, p99_seconds, max_seconds].map((seconds) => `${seconds.toFixed(1)} s`),
];

const describeStats = (stats: Stats, { paint }: Output): string[] => {
  const { devices, not_seen_days, hardware_types, updates, executions, late_updates, backend_gate } = stats;
  const installed = hardware_types.filter((type) => type.devices > 0);
  return [
    ...tableLines(
      ['devices', 'number', `not seen for ${not_seen_days} days`, 'never seen'],
      devices.map(({ kind, devices: number, not_seen, never_seen }) => [`${kind}s`, ...[number, not_seen, never_seen].map(formatNumber)]),
    ),
    '',
    ...tableLines(
      ['hardware type', 'devices', 'newest', 'run it', 'update time p50', 'p90', 'p99'],
      installed.map(({ hardware_type, devices: number, newest, on_newest, update_times: times }) => [
        ...[hardware_type, formatNumber(number), newest?.version, `${formatNumber(on_newest.devices)} (${formatShare(on_newest.share)})`],
        ...[times?.p50_seconds, times?.p90_seconds, times?.p99_seconds].map((seconds) =>
          seconds === undefined ? null : `${seconds.toFixed(1)} s`,
        ),
      ]),
    ),
    '',
    `Updates: ${formatCounts(updates) || 'none'}`,
    ...(formatCounts(executions) ? [`Devices in updates that have not ended: ${formatCounts(executions)}`] : []),
    ...(late_updates > 0 ? [paint('bad', `${formatNumber(late_updates)} updates are late: scu update list --status IN_PROGRESS`)] : []),
    ...(backend_gate.closed_until === null
      ? []
      : [paint('bad', `The backend is asked again at ${formatTime(backend_gate.closed_until)}: ${backend_gate.reason}`)]),
  ];
};
