import type { DryRun } from '../../api/src/index.ts';
import { formatDuration, formatNumber, formatTime } from './format.ts';
import { type Output, printable, tableLines } from './output.ts';

const meanings: Record<DryRun['reasons'][number]['reason'], string> = {
  ELIGIBLE: 'would be updated',
  ELIGIBLE_UNKNOWN_VERSION: 'would be updated; run a version that is in no catalogue',
  ALREADY_ON_TARGET: 'run it already',
  UNKNOWN_DEVICE: 'are not registered',
  RETIRED_DEVICE: 'are retired',
  HARDWARE_MISMATCH: 'do not have this hardware',
  UPDATE_IN_FLIGHT: 'are being updated by another update',
  DOWNGRADE: 'run a newer version (--allow-downgrade)',
  REQUIRES_NEWER: 'have to run something newer first',
  BLOCKED: 'failed this firmware three times (--force)',
  UNKNOWN_VERSION: 'run a version that is in no catalogue (left out by --exclude-unknown)',
  FIRMWARE_NOT_AVAILABLE: 'the firmware is not available',
};
const devicesShown = 3;

type PlannedDevice = DryRun['reasons'][number]['devices'][number];

const describeDevice = ({ external_id, other_update_id, detail }: PlannedDevice): string => {
  const why = other_update_id === null ? detail : `update ${other_update_id}`;
  return why === null ? external_id : `${external_id} (${why})`;
};

/** A dry run as a table: who would be updated and when, and why others would not. */
export const planLines = (
  { eligible, when, needs_approval, superseded, reasons, parts }: DryRun,
  { paint }: Pick<Output, 'paint'>,
  now: Date,
): string[] => [
  paint('strong', `${formatNumber(eligible)} ${eligible === 1 ? 'device' : 'devices'} would be updated.`),
  ...superseded.flatMap(({ update_id, executions, at_work }) => [
    ...(executions > 0 ? [`${formatNumber(executions)} of them are taken from update ${update_id}.`] : []),
    ...(at_work > 0
      ? [`${formatNumber(at_work)} more are at work for update ${update_id}, and are taken in when they have ended there.`]
      : []),
  ]),
  ...whenLines(when, now),
  ...(needs_approval ? ['Somebody else would have to approve it.'] : []),
  '',
  ...tableLines(
    ['reason', 'devices', 'for example', 'they'],
    reasons.map(({ reason, count, devices }) => [
      ...[reason, formatNumber(count)],
      devices.slice(0, devicesShown).map(describeDevice).join(', ') + (count > devicesShown ? ', …' : ''),
      meanings[reason] ?? '',
    ]),
  ),
  ...parts.flatMap(({ hardware_type, version, changes }) => [
    '',
    `${hardware_type} ${version} in the package:`,
    ...tableLines(
      ['change', 'from', 'devices'],
      changes.map(({ change, from_version, count }) => [change, from_version ?? 'not known', formatNumber(count)]),
    ),
  ]),
];

/** When their turn comes, as far as zones decide it; nothing where all of them may be asked at once. */
const whenLines = ({ now: atOnce, later }: DryRun['when'], now: Date): string[] =>
  later.length === 0
    ? []
    : [
        `  ${formatNumber(atOnce)} at once, at the pace of the update`,
        ...later.map((turn) => `  ${formatNumber(turn.count)} ${sayTurn(turn, now)}`),
      ];

const sayTurn = ({ zone, cause, opens_dt }: DryRun['when']['later'][number], now: Date): string => {
  const where = zone === null ? 'in no zone' : `in zone ${printable(zone)}`;
  if (cause === 'BUDGET') return `${where} as others there have ended: its budget is used up until then`;
  if (opens_dt === null) return `${where} never: its window does not open`;
  return `${where} when its window opens: ${formatTime(opens_dt)}, in ${formatDuration((Date.parse(opens_dt) - now.getTime()) / 1_000)}`;
};
