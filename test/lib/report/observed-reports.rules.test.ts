import { expect, it } from 'vitest';
import { toReports } from '../../../lib/report/observed-reports.ts';

const firmware = {
  hardware_type: 'vega_mcu',
  version: '1.4.2',
  since_dt: '2026-11-24T09:00:00+02:00',
  observed_dt: '2026-11-24T10:00:00.123Z',
};
const device = { kind: 'scooter', external_id: 'S-1', version: 1, firmwares: [firmware] };

it('says what was observed in the words of a confirmation', () => {
  expect(toReports([device])).toEqual({
    reports: [
      {
        ...{ kind: 'scooter', external_id: 'S-1', hardware_type: 'vega_mcu', version: '1.4.2', status: 'SUCCEEDED', source: 'observation' },
        ...{ occurred_dt: new Date('2026-11-24T10:00:00.123Z'), since_dt: new Date('2026-11-24T07:00:00.000Z') },
      },
    ],
    malformed: 0,
  });
});

it.each([
  ['hardware_type', 'Vega MCU'],
  ['version', ''],
  ['version', 'x'.repeat(65)],
  ['version', 'a\u0000b'],
  ['observed_dt', '2026-11-24'],
  ['observed_dt', ''],
])('leaves out what no confirmation could say, and counts it: a %s of %j', (field, value) => {
  const { reports, malformed } = toReports([{ ...device, firmwares: [{ ...firmware, [field]: value }, firmware] }]);
  expect(malformed).toBe(1);
  expect(reports).toHaveLength(1);
});

it('accepts a version without the time since which it runs', () => {
  expect(toReports([{ ...device, firmwares: [{ ...firmware, since_dt: 'unknown' }] }]).reports).toMatchObject([{ since_dt: undefined }]);
});
