import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { Confirmation, eventOf } from '../../../lib/report/confirmation.ts';
import { startOfTime } from '../../support/fixtures.ts';

const before = addSeconds(startOfTime, -1);
const after = addSeconds(startOfTime, 1);

describe('what a report means for an execution that wants 2.0 and was sent at 8:00:00, of a device that ran 0.9', () => {
  const sent = { wanted_version: '2.0', sent_dt: startOfTime, installed_dt: null, phase: 'asked' as const };
  const unsent = { wanted_version: '2.0', sent_dt: null, installed_dt: null, phase: 'waiting' as const };
  const retrying = { ...sent, phase: 'waiting' as const };
  const installed = { ...sent, installed_dt: startOfTime };

  /** status, version, when, whether it names the execution, whether the command was sent, source: event */
  it.each([
    ['SUCCEEDED', '2.0', after, false, sent, 'confirmation', 'proven'],
    ['SUCCEEDED', '2.0', before, false, sent, 'confirmation', 'proven'],
    ['SUCCEEDED', '2.0', before, false, unsent, 'confirmation', 'proven'],
    ['SUCCEEDED', '2.0', after, true, sent, 'observation', 'proven'],
    ['SUCCEEDED', '2.0', after, false, unsent, 'observation', 'proven'],

    ['SUCCEEDED', '1.0', after, false, sent, 'confirmation', 'mismatched'],
    ['SUCCEEDED', '1.0', startOfTime, false, sent, 'confirmation', 'mismatched'],
    ['SUCCEEDED', '1.0', before, false, sent, 'confirmation', undefined],
    ['SUCCEEDED', '1.0', before, true, sent, 'confirmation', 'mismatched'],
    ['SUCCEEDED', '1.0', after, false, unsent, 'confirmation', undefined],
    ['SUCCEEDED', '1.0', after, false, sent, 'observation', undefined],
    ['SUCCEEDED', '1.0', after, true, sent, 'observation', undefined],
    ['SUCCEEDED', '2.0 ', after, false, sent, 'confirmation', 'mismatched'],

    ['FAILED', '2.0', after, false, sent, 'confirmation', 'failed'],
    ['FAILED', '2.0', before, false, sent, 'confirmation', undefined],
    ['FAILED', '2.0', before, true, sent, 'confirmation', 'failed'],
    ['FAILED', '1.0', after, false, unsent, 'confirmation', undefined],
    ['FAILED', '2.0', after, true, sent, 'observation', undefined],

    ['REJECTED', '2.0', after, false, sent, 'confirmation', 'declined'],
    ['REJECTED', '2.0', before, false, sent, 'confirmation', undefined],
    ['REJECTED', '2.0', after, false, unsent, 'confirmation', undefined],

    ['IN_PROGRESS', '2.0', after, false, sent, 'confirmation', 'started'],
    ['IN_PROGRESS', '2.0', before, false, sent, 'confirmation', undefined],
    ['IN_PROGRESS', '2.0', after, false, unsent, 'confirmation', undefined],
    ['IN_PROGRESS', '2.0', after, true, unsent, 'confirmation', 'started'],

    ['SUCCEEDED', '2.0', after, false, sent, 'config_data', 'proven'],
    ['SUCCEEDED', '2.0', after, false, unsent, 'config_data', 'proven'],
    ['SUCCEEDED', '1.0', after, false, sent, 'config_data', undefined],
    ['SUCCEEDED', '1.0', after, false, unsent, 'config_data', undefined],
    ['SUCCEEDED', '1.0', after, false, installed, 'config_data', 'mismatched'],
    ['SUCCEEDED', '1.0', before, false, installed, 'config_data', undefined],

    ['INSTALLED', null, after, true, sent, 'feedback', 'installed'],
    ['SUCCEEDED', '2.0', after, true, sent, 'feedback', 'proven'],
    ['FAILED', null, after, true, sent, 'feedback', 'failed'],
    ['REJECTED', null, after, true, sent, 'feedback', 'declined'],
    ['CANCELED', null, after, true, sent, 'feedback', 'canceled'],
    ['CANCEL_REFUSED', null, after, true, sent, 'feedback', 'cancel_refused'],
    ['FAILED', null, after, true, retrying, 'feedback', undefined],
    ['INSTALLED', null, after, true, retrying, 'feedback', undefined],
    ['INSTALLED', null, after, true, unsent, 'feedback', undefined],
  ] as const)('%s %s at %o, named: %s, %o, %s: %s', (status, version, occurred_dt, isNamed, execution, source, event) => {
    const report = { status, version, occurred_dt, execution_id: isNamed ? 7 : undefined, source };
    expect(eventOf(report, execution, true, '0.9')).toBe(event);
  });

  it('proves nothing by a version that the device has left since', () => {
    const report = { status: 'SUCCEEDED', version: '2.0', occurred_dt: after, execution_id: 7, source: 'confirmation' } as const;
    expect(eventOf(report, sent, false, '2.1')).toBe(undefined);
  });

  it('leaves it to the deadline when a device that polls still tells what it ran before, or may do so', () => {
    const report = { status: 'SUCCEEDED', version: '1.0', occurred_dt: after, execution_id: undefined } as const;
    const told = (before: string | undefined, source: 'config_data' | 'confirmation') =>
      eventOf({ ...report, source }, installed, true, before);
    expect([told('1.0', 'config_data'), told(undefined, 'config_data')]).toEqual([undefined, undefined]);
    expect([told('1.1', 'config_data'), told('1.0', 'confirmation')]).toEqual(['mismatched', 'mismatched']);
  });
});

describe('a confirmation', () => {
  const valid = {
    external_id: 'S-1',
    hardware_type: 'vega_mcu',
    version: '2.0',
    status: 'SUCCEEDED',
    occurred_dt: '2026-11-24T08:00:00.000Z',
  };
  const wrongFields = (report: object) => {
    const { error } = Confirmation.safeParse(report);
    return error?.issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : issue.path.join('.'))) ?? [];
  };

  it('is about a scooter unless told otherwise, and has its time as an instant', () => {
    expect(Confirmation.parse(valid)).toEqual({ ...valid, kind: 'scooter', occurred_dt: startOfTime });
    expect(Confirmation.parse({ ...valid, occurred_dt: '2026-11-24T13:30:00+05:30' }).occurred_dt).toEqual(startOfTime);
  });

  it.each([
    ['kind', 'bicycle'],
    ['kind', null],
    ['external_id', ''],
    ['external_id', 'a'.repeat(129)],
    ['external_id', "S-1'; DROP TABLE devices; --"],
    ['external_id', 1],
    ['hardware_type', 'Vega'],
    ['hardware_type', ''],
    ['version', ''],
    ['version', '1'.repeat(65)],
    ['version', '1.0\u0000'],
    ['version', 1.4],
    ['status', 'succeeded'],
    ['status', 'QUEUED'],
    ['status', 'TIMED_OUT'],
    ['occurred_dt', '2026-11-24'],
    ['occurred_dt', '2026-11-24T08:00:00'],
    ['occurred_dt', '2026-02-30T08:00:00Z'],
    ['occurred_dt', 1_795_507_200],
    ['occurred_dt', null],
    ['execution_id', 0],
    ['execution_id', -1],
    ['execution_id', 1.5],
    ['execution_id', 2_147_483_648],
    ['execution_id', '7'],
    ['execution_id', null],
    ['detail', 'x'.repeat(10_001)],
    ['detail', {}],
    ['firmware', 'unknown field'],
  ])('refuses %s %j', (field, value) => {
    expect(wrongFields({ ...valid, [field]: value })).toContain(field);
  });

  it('names every field that is missing', () => {
    expect(wrongFields({})).toEqual(['external_id', 'hardware_type', 'version', 'status', 'occurred_dt']);
  });
});
