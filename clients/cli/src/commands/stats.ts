import type { Command } from 'commander';
import type { Stats } from '../../../api/src/index.ts';
import { action, addCommand, wholeNumber } from '../command.ts';
import { formatCounts, formatNumber, formatShare, formatTime } from '../format.ts';
import { type Output, tableLines } from '../output.ts';

/** `scu stats`: the fleet in numbers. */
export const addStatsCommand = (program: Command): void => {
  addCommand(program, 'stats', {
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
};

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
