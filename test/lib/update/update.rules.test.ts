import { describe, expect, it } from 'vitest';
import { noCounts } from '../../../lib/update/execution.ts';
import { progressOf } from '../../../lib/update/update.ts';
import { UpdateRequest } from '../../../lib/update/update-request.ts';
import { isEnded, updateStatuses } from '../../../lib/update/update-status.ts';

describe('an update', () => {
  it.each([
    ['SCHEDULED', false],
    ['IN_PROGRESS', false],
    ['PAUSED', false],
    ['COMPLETED', true],
    ['CANCELED', true],
    ['ABORTED', true],
  ] as const)('that is %s has ended: %s', (status, ended) => {
    expect(isEnded(status)).toBe(ended);
  });

  it('has no status beside these', () => {
    expect(updateStatuses).toEqual(['WAITING_FOR_APPROVAL', 'SCHEDULED', 'IN_PROGRESS', 'PAUSED', 'COMPLETED', 'CANCELED', 'ABORTED']);
  });

  it.each([
    [{}, 1],
    [{ QUEUED: 4 }, 0],
    [{ IN_PROGRESS: 4 }, 0],
    [{ QUEUED: 1, IN_PROGRESS: 1, SUCCEEDED: 1, FAILED: 1 }, 0.5],
    [{ QUEUED: 1, TIMED_OUT: 1, REJECTED: 1, CANCELED: 1, REMOVED: 1 }, 0.8],
    [{ FAILED: 3 }, 1],
  ])('with %j is so far: %d', (counts, progress) => {
    expect(progressOf({ ...noCounts(), ...counts }, 0)).toBe(progress);
  });

  it('counts no devices as progress that were on the target before', () => {
    expect(progressOf({ ...noCounts(), SUCCEEDED: 6, QUEUED: 4 }, 5)).toBe(0.2);
  });
});

describe('a request for an update', () => {
  const valid = { firmware_id: 1, targets: { external_ids: ['S-1'] } };
  const byFilter = (filter: object) => ({ firmware_id: 1, targets: { filter } });

  it('has defaults for all but the firmware and the devices', () => {
    expect(UpdateRequest.parse(valid)).toEqual({
      firmware_id: 1,
      targets: { kind: 'scooter', external_ids: ['S-1'] },
      rollout: { maximum_per_minute: 30_000, maximum_in_progress: null, exponential: null, maximum_unavailable_percentage: 100 },
      abort: [{ failure_types: ['FAILED', 'TIMED_OUT', 'REJECTED'], threshold_percentage: 10, minimum_executions: 100, action: 'ABORT' }],
      timeouts: { queued_minutes: 10_080, in_progress_minutes: 60 },
      retry: { number_of_retries: 0, failure_types: ['FAILED', 'TIMED_OUT'] },
      start_dt: null,
      window: null,
      ignore_window: false,
      continuous: false,
      replaces_update_id: null,
      allow_downgrade: false,
      force: false,
      supersede: false,
      unknown_version: 'INCLUDE',
      comment: '',
    });
    expect(UpdateRequest.parse(byFilter({})).targets).toEqual({ filter: { kind: 'scooter' } });
  });

  it.each([
    ['no firmware', { targets: valid.targets }],
    ['firmware as text', { ...valid, firmware_id: '1' }],
    ['firmware 0', { ...valid, firmware_id: 0 }],
    ['firmware beyond 31 bits', { ...valid, firmware_id: 2_147_483_648 }],
    ['no targets', { firmware_id: 1 }],
    ['empty targets', { ...valid, targets: {} }],
    ['no device', { ...valid, targets: { external_ids: [] } }],
    ['10,001 devices', { ...valid, targets: { external_ids: Array.from({ length: 10_001 }, (_, i) => `S-${i}`) } }],
    ['devices and a filter', { ...valid, targets: { external_ids: ['S-1'], filter: {} } }],
    ['a device id that is SQL', { ...valid, targets: { external_ids: ["x' OR 1=1 --"] } }],
    ['a device id with NUL', { ...valid, targets: { external_ids: ['S\u00001'] } }],
    ['a device id that is a number', { ...valid, targets: { external_ids: [1] } }],
    ['an unknown kind', { ...valid, targets: { kind: 'bicycle', external_ids: ['S-1'] } }],
    ['generation 3', byFilter({ version: 3 })],
    ['generation as text', byFilter({ version: '1' })],
    ['0 per cent', byFilter({ percentage: 0 })],
    ['101 per cent', byFilter({ percentage: 101 })],
    ['-1 per cent', byFilter({ percentage: -1 })],
    ['running nothing', byFilter({ running: {} })],
    ['running a version of no hardware type', byFilter({ running: { version: '1.0' } })],
    ['running a version and a firmware', byFilter({ running: { hardware_type: 'vega_mcu', version: '1.0', firmware_id: 1 } })],
    ['an unknown filter', byFilter({ color: 'red' })],
    ['pace 0', { ...valid, rollout: { maximum_per_minute: 0 } }],
    ['pace 1.5', { ...valid, rollout: { maximum_per_minute: 1.5 } }],
    ['pace above the limit', { ...valid, rollout: { maximum_per_minute: 1_000_001 } }],
    ['0 in progress', { ...valid, rollout: { maximum_in_progress: 0 } }],
    ['an unknown rollout field', { ...valid, rollout: { per_second: 1 } }],
    ['rollout null', { ...valid, rollout: null }],
    ['allow_downgrade as text', { ...valid, allow_downgrade: 'true' }],
    ['a comment with NUL', { ...valid, comment: 'a\u0000b' }],
    ['a comment of 2,001 characters', { ...valid, comment: 'x'.repeat(2_001) }],
    ['an unknown field', { ...valid, timeout: 1 }],
  ])('is refused with %s', (_, request) => {
    expect(UpdateRequest.safeParse(request).success).toBe(false);
  });

  it.each([
    ['10,000 devices', { ...valid, targets: { external_ids: Array.from({ length: 10_000 }, (_, i) => `S-${i}`) } }],
    ['a thousandth of a per cent', byFilter({ percentage: 0.001 })],
    ['100 per cent', byFilter({ percentage: 100 })],
    ['no limit in progress', { ...valid, rollout: { maximum_in_progress: null } }],
    ['cabinets', { ...valid, targets: { kind: 'cabinet', external_ids: ['C-1'] } }],
  ])('is taken with %s', (_, request) => {
    expect(UpdateRequest.safeParse(request).success).toBe(true);
  });
});
