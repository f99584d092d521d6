// How PostgreSQL finds the devices of a filter among a million. The planner goes by statistics and by the size of files, so the rows themselves
// need not be a million: the statistics say 25 times as many rows as there are, and each page holds a tenth of what it could. The files are
// still smaller than those of a million devices, so that reading them from end to end looks cheaper here than it is.
import { CompiledQuery, sql } from 'kysely';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../../../lib/db/database.ts';
import { DeviceFilter } from '../../../lib/fleet/device-filter.ts';
import { filteredDevices } from '../../../lib/fleet/device-filter-queries.ts';
import { dryRunUpdate } from '../../../lib/update/plan/dry-run-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenFirmware, updateRequest } from '../../support/fixtures.ts';

const { db, url } = await createTestDatabase();
const now = new Date('2026-11-24T08:00:00Z');
const devices = 1_000_000;
const tables = ['devices', 'device_firmwares'];
const rows = 40_000;
/** In per cent; the smallest part that a page can be filled to. */
const fillFactor = 10;
/** Of vega_gsm: a version for every fiftieth device. */
const versions = 50;
/** A scooter has seven hardware types. */
const otherTypes = ['vega_mcu', 'audio_lock', 'audio_locate', 'audio_unlock', 'audio_battery_low', 'yandex_iot'];

let firmwareId = 0;
beforeAll(async () => {
  for (let n = 1; n <= versions; n += 1) firmwareId = (await givenFirmware(db, { hardware_type: 'vega_gsm', version: `${n}` })).id;
  for (const hardware_type of otherTypes) await givenFirmware(db, { hardware_type, version: '1' });
  await db.connection().execute(async (connection) => {
    for (const table of tables) await sql`ALTER TABLE ${sql.table(table)} SET (fillfactor = ${sql.lit(fillFactor)})`.execute(connection);
    // The rows fulfil all constraints, and nothing here is about counts.
    await sql`SET session_replication_role = replica`.execute(connection);
    await sql`
      INSERT INTO zones (name, time_zone, created_dt) SELECT 'zone-' || n, 'Europe/Moscow', ${now} FROM generate_series(0, 99) n`.execute(
      connection,
    );
    await sql`
      INSERT INTO devices (kind, external_id, version, channel, zone, tags, created_dt, last_seen_dt)
      SELECT 'scooter', 'S-' || n, 1 + n % 2, 'telematics', 'zone-' || n % 100,
             CASE WHEN n % 200 = 0 THEN '{night,rare}'::text[] WHEN n % 5 = 0 THEN '{night}' ELSE '{}' END, ${now}, ${now}
      FROM generate_series(1, ${rows}::integer) n`.execute(connection);
    await sql`
      INSERT INTO device_firmwares (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, observed_dt, source)
      SELECT d.id, f.hardware_type, f.id, f.version, ${now}::timestamptz, ${now}::timestamptz, 'confirmation'
      FROM devices d JOIN firmwares f ON f.hardware_type <> 'vega_gsm' OR f.version_num = 1 + d.id * 7 % ${versions}::integer`.execute(
      connection,
    );
    await sql`SET session_replication_role = origin`.execute(connection);
  });
  await seemLarge();
}, 180_000);

/** Makes indexes as loose as the tables, and has the planner believe in a million devices. */
const seemLarge = async () => {
  const { rows: indexes } = await sql<{ name: string }>`
    SELECT i.indexrelid::regclass::text AS name
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    WHERE i.indrelid = ANY (${tables}::regclass[]) AND a.amname = 'btree'`.execute(db);
  for (const { name } of indexes) await sql`ALTER INDEX ${sql.table(name)} SET (fillfactor = ${sql.lit(fillFactor)})`.execute(db);
  for (const table of tables) await sql`REINDEX TABLE ${sql.table(table)}`.execute(db);
  await sql`VACUUM (ANALYZE) devices, device_firmwares`.execute(db);
  await sql`
    UPDATE pg_class SET reltuples = reltuples * ${devices / rows}::real
    WHERE oid = ANY (${tables}::regclass[])
       OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ANY (${tables}::regclass[]))`.execute(db);
};

const sequentialScan = /Seq Scan on (devices|device_firmwares)\b/;

it('the planner takes the fleet for a million devices', async () => {
  const { rows: plans } = await sql<{ 'QUERY PLAN': string }>`EXPLAIN SELECT * FROM devices`.execute(db);
  const [, estimated] = /rows=(\d+)/.exec(plans[0]?.['QUERY PLAN'] ?? '') ?? [];
  expect(Number(estimated)).toBeGreaterThan(900_000);
  expect(Number(estimated)).toBeLessThan(1_100_000);
});

describe('among a million devices a filter', () => {
  const found = async (filter: object) => {
    const { rows: plans } = await sql<{ 'QUERY PLAN': string }>`
      EXPLAIN SELECT id FROM (${filteredDevices(DeviceFilter.parse(filter), { now })}) d`.execute(db);
    return plans.map((row) => row['QUERY PLAN']).join('\n');
  };
  const version = { hardware_type: 'vega_gsm', version: '20' };

  it.each<[string, () => object, RegExp]>([
    ['zone', () => ({ kind: 'scooter', zone: 'zone-7' }), /devices_zone_idx/],
    ['tag', () => ({ kind: 'scooter', tags: { all: ['rare'] } }), /devices_tags_idx/],
    ['any of some tags', () => ({ tags: { any: ['rare', 'nobody'] } }), /devices_tags_idx/],
    ['revision', () => ({ revision: 'unheard of' }), /devices_revision_idx/],
    ['running version', () => ({ running: version }), /device_firmwares_firmware_idx/],
    ['running firmware', () => ({ running: { firmware_id: firmwareId } }), /device_firmwares_firmware_idx/],
    ['zone and tag', () => ({ zone: 'zone-5', tags: { any: ['night'] } }), /devices_(zone|tags)_idx/],
    ['zone and running version', () => ({ zone: 'zone-7', running: version }), /devices_zone_idx|device_firmwares_firmware_idx/],
    ['zone, and what it does not run', () => ({ zone: 'zone-7', not_running: version }), /devices_zone_idx/],
    [
      'zone, and a version older than',
      () => ({ zone: 'zone-7', older_than_firmware_id: firmwareId }),
      /devices_zone_idx|device_firmwares_firmware_idx/,
    ],
    ['zone, and a sample of it', () => ({ zone: 'zone-7', percentage: 10 }), /devices_zone_idx/],
  ])('by %s is found without a sequential scan', async (_, filter, index) => {
    const plan = await found(filter());
    expect(plan).toMatch(index);
    expect(plan).not.toMatch(sequentialScan);
  });

  it.each<[string, object]>([
    ['zone', { zone: 'zone-7' }],
    ['tag', { tags: { all: ['rare'] } }],
    ['running version', { running: version }],
    ['zone, and what it does not run', { zone: 'zone-7', not_running: version }],
  ])('by %s is planned as an update without a sequential scan', async (_, filter) => {
    const sent: [string, readonly unknown[]][] = [];
    const listened = createDatabase({ url, maxConnections: 1, onStatement: (statement, parameters) => sent.push([statement, parameters]) });
    const request = updateRequest({ firmware_id: firmwareId, targets: { filter } });
    await dryRunUpdate({ db: listened, now: () => now }, request, undefined);
    await listened.destroy();
    const plans = await Promise.all(
      sent
        .filter(([statement]) => /\bdevices\b/.test(statement))
        .map(async ([statement, parameters]) => {
          const plan = await db.executeQuery<{ 'QUERY PLAN': string }>(CompiledQuery.raw(`EXPLAIN ${statement}`, [...parameters]));
          return plan.rows.map((row) => row['QUERY PLAN']).join('\n');
        }),
    );
    expect(plans.length).toBeGreaterThan(0);
    for (const plan of plans) expect(plan).not.toMatch(sequentialScan);
  });
});
