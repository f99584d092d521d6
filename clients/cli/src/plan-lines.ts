import type { DryRun } from '../../api/src/index.ts';
import { formatNumber } from './format.ts';
import { type Output, tableLines } from './output.ts';

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
  UNKNOWN_VERSION: 'run a version that is in no catalogue (--unknown-version INCLUDE)',
  FIRMWARE_NOT_AVAILABLE: 'the firmware is not available',
};
const devicesShown = 3;

/** A dry run as a table: who would be updated, and why others would not. */
export const planLines = ({ eligible, reasons, parts }: DryRun, { paint }: Output): string[] => [
  paint('strong', `${formatNumber(eligible)} devices would be updated.`),
  '',
  ...tableLines(
    ['reason', 'devices', 'for example', 'they'],
    reasons.map(({ reason, count, devices }) => [
      ...[reason, formatNumber(count)],
      devices
        .slice(0, devicesShown)
        .map(({ external_id, other_update_id }) => (other_update_id === null ? external_id : `${external_id} (update ${other_update_id})`))
        .join(', ') + (count > devicesShown ? ', …' : ''),
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
