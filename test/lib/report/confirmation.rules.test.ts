import { describe, expect, it } from 'vitest';
import { Confirmation } from '../../../lib/report/confirmation.ts';
import { startOfTime } from '../../support/fixtures.ts';

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
