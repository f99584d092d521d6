import fc from 'fast-check';
import { sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Db } from '../../../lib/db/database.ts';
import { migrateToLatest } from '../../../lib/db/migrate.ts';
import { addDevices, upsertDevices } from '../../../lib/fleet/change-queries.ts';
import { NewDevice } from '../../../lib/fleet/new-device.ts';
import { registerDevices } from '../../../lib/fleet/register-devices.ts';
import { confirmUpdate } from '../../../lib/report/confirm-update.ts';
import type { Confirmation } from '../../../lib/report/confirmation.ts';
import { recordReports } from '../../../lib/report/record-reports.ts';
import { changeDevice } from '../../../lib/update/change-device.ts';
import { migrations } from '../../../migrations/index.ts';
import { createTestDatabase } from '../../support/database.ts';
import { actor, confirmation, givenDevices, givenFirmware, startOfTime, TestClock } from '../../support/fixtures.ts';
import { createUpdateService } from '../../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();
const { db: many } = await createTestDatabase({ maxConnections: 40 });
const { db: old, url: oldUrl } = await createTestDatabase({ isEmpty: true });
const at = (seconds: number) => new Date(startOfTime.getTime() + seconds * 1_000);
const { now } = new TestClock(at(48 * 3_600));

/** What is kept, its shards added up, beside what counting everything anew finds. */
const counts = async (of: Db) => {
  const kept = {
    versions: await sql`
      SELECT nullif(zone, '') AS zone, hardware_type, reported_version, sum(device_count) AS n FROM device_firmware_counts
      GROUP BY 1, 2, 3 HAVING sum(device_count) <> 0 ORDER BY 1, 2, 3`.execute(of),
    times: await sql`
      SELECT hardware_type, firmware_id, scooter_version, sum(installations) AS n, sum(sum_seconds)::numeric(20, 3) AS sum_seconds,
             max(max_seconds) AS max_seconds
      FROM firmware_update_time_counts GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`.execute(of),
    days: await sql`
      SELECT nullif(zone, '') AS zone, kind, seen_on::text, sum(device_count) AS n FROM device_seen_counts
      GROUP BY 1, 2, 3 HAVING sum(device_count) <> 0 ORDER BY 1, 2, 3`.execute(of),
  };
  const counted = {
    versions: await sql`
      SELECT d.zone, hardware_type, reported_version, count(*) AS n
      FROM device_firmwares r JOIN devices d ON d.id = r.device_id
      WHERE d.retired_dt IS NULL
      GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`.execute(of),
    times: await sql`
      SELECT hardware_type, firmware_id, coalesce(version, 0) AS scooter_version, count(*) AS n,
             sum(firmware_update_time)::numeric(20, 3) AS sum_seconds, max(firmware_update_time) AS max_seconds
      FROM (
        SELECT device_id, hardware_type, firmware_id, firmware_update_time FROM device_firmware_history
        UNION ALL SELECT device_id, hardware_type, 0, firmware_update_time FROM device_firmware_history
      ) h JOIN devices d ON d.id = h.device_id
      WHERE firmware_update_time IS NOT NULL
      GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`.execute(of),
    days: await sql`
      SELECT zone, kind, last_seen_on::text AS seen_on, count(*) AS n FROM devices
      WHERE retired_dt IS NULL
      GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`.execute(of),
  };
  const rowsOf = ({ versions, times, days }: typeof kept) => ({ versions: versions.rows, times: times.rows, days: days.rows });
  return { kept: rowsOf(kept), counted: rowsOf(counted) };
};

const expectRightCounts = async (of: Db = db) => {
  const { kept, counted } = await counts(of);
  expect(kept).toEqual(counted);
  return kept;
};

beforeEach(async () => {
  await sql`TRUNCATE devices, device_firmware_counts, device_seen_counts, firmware_update_time_counts CASCADE`.execute(db);
});

describe('what is counted', () => {
  it('is what counting anew finds, whatever is reported, in whatever order, many batches at once', async () => {
    const external_ids = await givenDevices(db, 8);
    const versions = ['1.0', '1.1', '2.0', 'unheard of'];
    const Report = fc.record({
      external_id: fc.constantFrom(...external_ids),
      hardware_type: fc.constantFrom('vega_mcu', 'vega_gsm', 'no_such_type'),
      version: fc.constantFrom(...versions),
      status: fc.constantFrom('SUCCEEDED' as const, 'FAILED' as const),
      hours: fc.integer({ min: 0, max: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(Report, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 10 }), async (batches) => {
        await Promise.all(
          batches.map((batch) =>
            confirmUpdate(
              { db, now },
              batch.map(({ hours, ...report }) => confirmation({ ...report, occurred_dt: at(hours * 3_600) })),
            ),
          ),
        );
        await expectRightCounts();
      }),
      { numRuns: 40 },
    );
  });

  it('is right after every one of many devices leaves one version for another at once', async () => {
    const external_ids = await givenDevices(db, 400);
    const report = (version: string, seconds: number) =>
      Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          confirmUpdate(
            { db, now },
            external_ids
              .slice(i * 20, i * 20 + 20)
              // Batches about the same devices in other orders.
              .sort(() => (i % 2 ? 1 : -1))
              .map((external_id) => confirmation({ external_id, version, occurred_dt: at(seconds) })),
          ),
        ),
      );
    await report('1.0', 0);
    await report('2.0', 10);
    const { versions } = await expectRightCounts();
    expect(versions).toEqual([{ zone: null, hardware_type: 'vega_mcu', reported_version: '2.0', n: 400 }]);
  });

  it('does not change with a report that comes twice, too late, or is rolled back', async () => {
    const [external_id = ''] = await givenDevices(db);
    const report = (version: string, seconds: number) =>
      confirmUpdate({ db, now }, [confirmation({ external_id, version, occurred_dt: at(seconds) })]);
    await report('1.0', 10);
    const once = await expectRightCounts();
    await report('1.0', 10);
    await report('0.9', 5);
    await report('1.0', 20);
    expect(await expectRightCounts()).toEqual(once);
    const rolledBack = db.transaction().execute(async (trx) => {
      const report = confirmation({ external_id, version: '2.0', occurred_dt: now() });
      expect(await recordReports(trx, [{ ...report, source: 'confirmation' }], now())).toMatchObject([{ outcome: 'stored' }]);
      throw new Error('afterwards');
    });
    await expect(rolledBack).rejects.toThrow('afterwards');
    expect(await expectRightCounts()).toEqual(once);
  });

  it('costs no statement of its own', async () => {
    const [external_id = ''] = await givenDevices(db);
    takeStatements();
    await confirmUpdate({ db, now }, [confirmation({ external_id, version: '1.0' })]);
    expect(takeStatements().filter((statement) => statement.includes('device_firmware_counts'))).toHaveLength(1);
    expect(takeStatements()).toEqual([]);
  });
});

describe('devices', () => {
  it('are counted once, however many calls add the same ones at once, and move on when they are seen', async () => {
    const devices = Array.from({ length: 40 }, (_, i) =>
      NewDevice.parse(i % 4 ? { kind: 'scooter', external_id: `N-${i}`, version: 1 } : { kind: 'cabinet', external_id: `N-${i}` }),
    );
    await Promise.all(
      Array.from({ length: 10 }, (_, i) => {
        const some = devices.slice(i, i + 31);
        return i % 2 ? upsertDevices(db, some, startOfTime) : addDevices(db, some, startOfTime);
      }),
    );
    expect((await expectRightCounts()).days).toEqual([
      { zone: null, kind: 'cabinet', seen_on: '-infinity', n: 10 },
      { zone: null, kind: 'scooter', seen_on: '-infinity', n: 30 },
    ]);
    const reports = devices
      .slice(0, 20)
      .map(({ kind, external_id }) => confirmation({ kind, external_id, version: '1.0', occurred_dt: now() }));
    await Promise.all([0, 5, 10].map((from) => confirmUpdate({ db, now }, reports.slice(from, from + 10))));
    expect((await expectRightCounts()).days).toEqual([
      { zone: null, kind: 'cabinet', seen_on: '-infinity', n: 5 },
      { zone: null, kind: 'cabinet', seen_on: '2026-11-26', n: 5 },
      { zone: null, kind: 'scooter', seen_on: '-infinity', n: 15 },
      { zone: null, kind: 'scooter', seen_on: '2026-11-26', n: 15 },
    ]);
  });

  it('may be added by one who then waits for devices whose reporters are counting', async () => {
    const external_ids = await givenDevices(many, 32);
    const reports = external_ids.map((external_id) => confirmation({ external_id, version: '1.0' }));
    const waiting = async () => {
      const { rows } = await sql<{ n: number }>`
        SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(many);
      return rows[0]?.n ?? 0;
    };
    await many.transaction().execute(async (trx) => {
      await addDevices(trx, [NewDevice.parse({ kind: 'scooter', external_id: 'added' })], now());
      let done = 0;
      for (const report of reports) void confirmUpdate({ db: many, now }, [report]).finally(() => (done += 1));
      await vi.waitFor(async () => expect(done + (await waiting())).toBe(reports.length), { timeout: 10_000 });
      await recordReports(
        trx,
        reports.map((report) => ({ ...report, source: 'observation' })),
        now(),
      );
    });
    await expectRightCounts(many);
  });
});

describe('zones', () => {
  it('have the right counts while devices move between them and report at the same moment', async () => {
    const zones = [null, 'north', 'south'];
    await sql`
      INSERT INTO zones (name, time_zone, created_dt) VALUES ('north', 'Europe/Moscow', now()), ('south', 'Europe/Moscow', now())
      ON CONFLICT DO NOTHING`.execute(db);
    const external_ids = await givenDevices(db, 30);
    const deps = { db, now };
    for (let round = 0; round < 5; round += 1) {
      const zoneOf = (i: number) => zones[(i + round) % 3] ?? null;
      const given = external_ids.map((external_id, i) =>
        NewDevice.parse({ kind: 'scooter', external_id, version: 1, ...(i % 4 && { zone: zoneOf(i) }) }),
      );
      const reports = external_ids.map((external_id, i) =>
        confirmation({ external_id, version: `1.${(i + round) % 4}`, occurred_dt: at(round * 40_000 + i) }),
      );
      await Promise.all([
        registerDevices(deps, given.toReversed(), actor),
        confirmUpdate(deps, reports),
        confirmUpdate(deps, reports.slice(0, 10).toReversed()),
        ...external_ids
          .slice(0, 5)
          .map((external_id) => changeDevice(deps, { kind: 'scooter', external_id }, { zone: zoneOf(round) }, actor)),
      ]);
      await expectRightCounts();
    }
  });
});

describe('update times', () => {
  it('are counted once per proven installation, per firmware and scooter version, concurrently too', async () => {
    const service = createUpdateService(db);
    const firmware = await givenFirmware(db);
    const external_ids = [...(await givenDevices(db, 10, { version: 1 })), ...(await givenDevices(db, 6, { version: 2 }))];
    await service.request({ firmware_id: firmware.id, targets: { external_ids } });
    await service.advance(service.deps.advances.take()[0]);
    for (const message of service.deps.dispatches.take()) await service.dispatch(message);
    service.clock.advance(600);
    const reports = external_ids.map((external_id, i) =>
      confirmation({ external_id, version: firmware.version, occurred_dt: at(30 + Math.floor(i / 2) * 15) }),
    );
    // Each comes twice, in batches that overlap.
    await Promise.all([0, 4, 8].flatMap((from) => [0, 1].map(() => service.confirm(...reports.slice(from, from + 8)))));
    const { times } = await expectRightCounts();
    const of = (firmware_id: number, scooter_version: number) => times.find((row) => sameKey(row, { firmware_id, scooter_version }));
    // 30, 30, 45 … 90 and 105, 105, 120 … 135.
    expect(of(firmware.id, 1)).toMatchObject({ n: 10, sum_seconds: '600.000', max_seconds: 90 });
    expect(of(firmware.id, 2)).toMatchObject({ n: 6, sum_seconds: '720.000', max_seconds: 135 });
    expect(of(0, 1)).toMatchObject({ n: 10, max_seconds: 90 });
  });

  it('that are equal are counted at one moment: nobody waits for the commit of another', async () => {
    const service = createUpdateService(many);
    const { external_ids, firmware } = await service.givenSent({ devices: 2 });
    service.clock.advance(30);
    const [one, other] = external_ids.map((external_id) =>
      confirmation({ external_id, version: firmware.version, occurred_dt: service.clock.now() }),
    ) as [Confirmation, Confirmation];
    await many.transaction().execute(async (trx) => {
      await recordReports(trx, [{ ...one, source: 'confirmation' }], service.clock.now());
      // Waits for what was sent ahead.
      await sql`SELECT 1`.execute(trx);
      expect(await service.confirm(other)).toMatchObject([{ outcome: 'stored' }]);
    });
    const { times } = await expectRightCounts(many);
    expect(times.find((row) => sameKey(row, { firmware_id: firmware.id }))).toMatchObject({ n: 2, max_seconds: 30 });
  });
});

const sameKey = (row: unknown, key: Record<string, unknown>) =>
  Object.entries(key).every(([name, value]) => (row as Record<string, unknown>)[name] === value);

describe('the migration', () => {
  it('counts what a filled database has stored', async () => {
    const migrator = new Migrator({ db: old, provider: { getMigrations: async () => migrations } });
    const names = Object.keys(migrations);
    const { error } = await migrator.migrateTo(names[names.indexOf('20261124092000_count_fleet') - 1] ?? '');
    expect(error).toBeUndefined();
    // As the release before stored it.
    await sql`
      INSERT INTO devices (kind, external_id, version, channel, created_dt, last_seen_dt)
      SELECT 'scooter', 'S-' || n, CASE n WHEN 1 THEN NULL ELSE 2 END, 'telematics', now(), '2026-11-23T23:59:59Z'
      FROM generate_series(1, 5) n`.execute(old);
    const { rows } = await sql<{ id: number }>`
      INSERT INTO firmwares (hardware_type, version, status, object_key, created_by, created_dt)
      VALUES ('vega_mcu', '1.0', 'awaiting_upload', 'x', 'test', now()) RETURNING id`.execute(old);
    const firmware_id = rows[0]?.id ?? 0;
    for (const table of ['device_firmwares', 'device_firmware_history']) {
      await sql`
        INSERT INTO ${sql.table(table)}
          (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, firmware_update_time, observed_dt, source)
        SELECT id, 'vega_mcu', ${firmware_id}::integer, '1.0', now(), CASE WHEN id > 3 THEN NULL ELSE id * 10 END, now(), 'confirmation'
        FROM devices`.execute(old);
    }
    await migrateToLatest(oldUrl);

    const { versions, times, days } = await expectRightCounts(old);
    expect(versions).toEqual([{ zone: null, hardware_type: 'vega_mcu', reported_version: '1.0', n: 5 }]);
    expect(days).toEqual([{ zone: null, kind: 'scooter', seen_on: '2026-11-23', n: 5 }]);
    expect(times).toMatchObject([
      { firmware_id: 0, scooter_version: 0, n: 1, max_seconds: 10 },
      { firmware_id: 0, scooter_version: 2, n: 2, max_seconds: 30 },
      { firmware_id, scooter_version: 0, n: 1, max_seconds: 10 },
      { firmware_id, scooter_version: 2, n: 2, max_seconds: 30 },
    ]);
  });
});

describe('recount_fleet()', () => {
  it('counts anew what was changed by hand, and what is right it leaves as it is', async () => {
    const external_ids = await givenDevices(db, 3);
    await confirmUpdate(
      { db, now },
      external_ids.map((external_id) => confirmation({ external_id, version: '1.0' })),
    );
    const before = await expectRightCounts();
    await sql`SELECT recount_fleet()`.execute(db);
    expect(await expectRightCounts()).toEqual(before);
    await sql`UPDATE device_firmwares SET reported_version = 'by hand'`.execute(db);
    await sql`SELECT recount_fleet()`.execute(db);
    expect((await expectRightCounts()).versions).toEqual([{ zone: null, hardware_type: 'vega_mcu', reported_version: 'by hand', n: 3 }]);
  });

  it('may run while reports come: nothing is lost, nothing is counted twice', async () => {
    const external_ids = await givenDevices(db, 40);
    const report = (external_id: string, i: number) => confirmUpdate({ db, now }, [confirmation({ external_id, version: `${i % 3}.0` })]);
    await Promise.all([
      ...external_ids.slice(0, 20).map(report),
      sql`SELECT recount_fleet()`.execute(db),
      ...external_ids.slice(20).map(report),
      sql`SELECT recount_fleet()`.execute(db),
    ]);
    await expectRightCounts();
  });
});
