import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/get-stats/handler.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import { recordReports } from '../../lib/report/record-reports.ts';
import { removeOldRows } from '../../lib/retention/remove-old-rows.ts';
import type { VersionDays } from '../../lib/stats/stats.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, givenFirmware, silentLog, startOfTime } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';

const { db, takeStatements } = await createTestDatabase({ maxConnections: 10 });
const identity = await createIdentity();
const token = await identity.token({ scopes: ['read'] });

// 2026-11-24 is day 0; hours may be more than 24.
const at = (day: number, hour = 12) => new Date(Date.parse('2026-11-24T00:00:00Z') + (day * 24 + hour) * 3_600_000);
const report = (time: Date, versions: Record<string, string>, hardware_type = 'vega_mcu') =>
  confirmUpdate(
    { db, now: () => time },
    Object.entries(versions).map(([external_id, version]) => confirmation({ external_id, version, hardware_type, occurred_dt: time })),
  );
const get = (time: Date, query: Record<string, string>) =>
  call<VersionDays & { errors: { path: string }[] }>(
    createHandler({ db, authenticate: identity.authenticate, log: silentLog, now: () => time }),
    { method: 'GET', path: '/v1/stats/versions', token, query },
  );
/** Devices by version, day by day. */
const days = async (time: Date, query: Record<string, string> = {}) => {
  const { statusCode, body } = await get(time, { hardware_type: 'vega_mcu', ...query });
  expect(statusCode).toBe(200);
  return Object.fromEntries(
    body.days.map(({ day, versions }) => [day, Object.fromEntries(versions.map(({ version, devices }) => [version, devices]))]),
  );
};
const kept = async () =>
  (
    await db
      .selectFrom('device_firmware_days')
      .select(['hardware_type', sql<string>`day::text`.as('day')])
      .execute()
  ).length;

let [a, b, c]: string[] = [];
beforeEach(async () => {
  await sql`TRUNCATE firmwares, devices, device_firmware_counts, device_seen_counts, device_firmware_days CASCADE`.execute(db);
  [a, b, c] = await givenDevices(db, 3);
});
const of = (versions: (string | undefined)[]) =>
  Object.fromEntries([a, b, c].flatMap((id, i) => (id && versions[i] ? [[id, versions[i]]] : []))) as Record<string, string>;

describe('GET /v1/stats/versions', () => {
  it('200: what ran at the end of each day, also of days on which nobody reported; today as it is now', async () => {
    await report(at(0), of(['1.0', '1.0', '1.0']));
    await report(at(1, 8), of(['1.1']));
    await report(at(1, 23), of([undefined, '1.1']));
    await report(at(4), of([undefined, undefined, '1.1']));
    expect(await days(at(4, 13))).toEqual({
      '2026-11-24': { '1.0': 3 },
      '2026-11-25': { '1.1': 2, '1.0': 1 },
      '2026-11-26': { '1.1': 2, '1.0': 1 },
      '2026-11-27': { '1.1': 2, '1.0': 1 },
      '2026-11-28': { '1.1': 3 },
    });
    expect(await days(at(6))).toMatchObject({ '2026-11-29': { '1.1': 3 }, '2026-11-30': { '1.1': 3 } });
    expect(await days(at(4, 13), { days: '2' })).toEqual({ '2026-11-27': { '1.1': 2, '1.0': 1 }, '2026-11-28': { '1.1': 3 } });
    expect(Object.keys(await days(at(900), { days: '731' }))).toHaveLength(731);
  });

  it('200: shares are of the devices that were known on that day', async () => {
    await report(at(0), of(['1.0', '1.0', '1.1']));
    const { body } = await get(at(0, 13), { hardware_type: 'vega_mcu', days: '1' });
    expect(body).toEqual({
      hardware_type: 'vega_mcu',
      days: [
        {
          ...{ day: '2026-11-24', devices: 3 },
          versions: [
            { version: '1.0', devices: 2, share: 2 / 3 },
            { version: '1.1', devices: 1, share: 1 / 3 },
          ],
          other_versions: { devices: 0, share: 0 },
        },
      ],
    });
  });

  it('200: no days before the first report, and none of another hardware type', async () => {
    await report(at(0), of(['1.0']), 'vega_gsm');
    expect(await days(at(2))).toEqual({});
    expect(Object.keys(await days(at(2), { hardware_type: 'vega_gsm' }))).toEqual(['2026-11-24', '2026-11-25', '2026-11-26']);
  });

  it('200: a day has 100 versions one by one, and the others together', async () => {
    const many = await givenDevices(db, 103);
    await report(at(0), Object.fromEntries(many.map((id, i) => [id, `made up ${i}`])));
    await report(at(1), of(['made up 102']));
    const { body } = await get(at(1, 13), { hardware_type: 'vega_mcu' });
    expect(body.days.map(({ devices, versions, other_versions }) => [devices, versions.length, other_versions.devices])).toEqual([
      [103, 100, 3],
      [104, 100, 3],
    ]);
    expect(body.days[1]?.versions[0]).toMatchObject({ version: 'made up 102', devices: 2 });
  });

  it('200: parts of a package count on the day on which it came', async () => {
    await report(at(0), of(['1.0']));
    const part = await givenFirmware(db, { hardware_type: 'vega_mcu', version: '2.0' });
    const { id } = await db
      .insertInto('assemblies')
      .values({
        ...{ created_by: 'x', created_dt: startOfTime, hardware_compatibility: [], request_hash: 'h', request_id: 'r', signed: true },
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    const whole = await givenFirmware(db, { hardware_type: 'vega_gsm', version: '2026.11' });
    await db.updateTable('firmwares').set({ assembly_id: id }).where('id', '=', whole.id).execute();
    await db
      .insertInto('assembly_parts')
      .values({ assembly_id: id, firmware_id: part.id, device: '/dev/mcu', handler: 'raw', position: 0 })
      .execute();
    await report(at(2), of(['2026.11']), 'vega_gsm');
    expect(await days(at(2, 13))).toEqual({ '2026-11-24': { '1.0': 1 }, '2026-11-25': { '1.0': 1 }, '2026-11-26': { '2.0': 1 } });
  });

  it('a day begins once, with the first report on it; all others send no statement for it', async () => {
    await report(at(0), of(['1.0']));
    takeStatements();
    await report(at(0, 13), of(['1.1']));
    const usual = takeStatements().length;
    await report(at(1), of(['1.2']));
    expect(takeStatements()).toHaveLength(usual + 1);
    await report(at(1, 13), of(['1.3']));
    expect(takeStatements()).toHaveLength(usual);
    expect(await kept()).toBe(2);
  });

  it('of first reports that come at once, one begins the day and none waits: it holds nothing of theirs', async () => {
    const many = await givenDevices(db, 20);
    await report(at(0), Object.fromEntries(many.map((id) => [id, '1.0'])));
    await Promise.all(many.map((id) => report(at(1), { [id]: '1.1' })));
    expect(await days(at(1, 13))).toEqual({ '2026-11-24': { '1.0': 20 }, '2026-11-25': { '1.1': 20 } });
    await db.transaction().execute(async (trx) => {
      await recordReports(
        trx,
        [{ ...confirmation({ external_id: a ?? '', version: '1.2', occurred_dt: at(2) }), source: 'confirmation' }],
        at(2),
      );
      // While that transaction is open.
      await report(at(2), of([undefined, '1.2']));
    });
    expect(await kept()).toBe(3);
  });

  it('a day that began in a transaction that failed begins with the next report', async () => {
    await report(at(0), of(['1.0', '1.0']));
    const failing = db.transaction().execute(async (trx) => {
      await recordReports(
        trx,
        [{ ...confirmation({ external_id: a ?? '', version: '1.1', occurred_dt: at(1) }), source: 'confirmation' }],
        at(1),
      );
      throw new Error('lost');
    });
    await expect(failing).rejects.toThrow('lost');
    await report(at(1, 13), of(['1.1', '1.1']));
    expect(await days(at(1, 14))).toEqual({ '2026-11-24': { '1.0': 2 }, '2026-11-25': { '1.1': 2 } });
  });

  it('days go with the history', async () => {
    await report(at(0), of(['1.0']));
    await report(at(1), of(['1.1']));
    await removeOldRows(db, 1, at(32));
    expect(Object.keys(await days(at(32), { days: '731' }))[0]).toBe('2026-11-25');
  });

  it.each([
    [{}, 'hardware_type'],
    [{ hardware_type: 'hoverboard' }, 'hardware_type'],
    [{ hardware_type: 'vega_mcu', days: '0' }, 'days'],
    [{ hardware_type: 'vega_mcu', days: '732' }, 'days'],
    [{ hardware_type: 'vega_mcu', from: '2026-11-24' }, 'from'],
  ])('400: %j', async (query, path) => {
    expect(await get(at(0), query as Record<string, string>)).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'query', path }] } });
  });
});
