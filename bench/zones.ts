// `npm run bench:zones`: choosing devices by zone, tag and version among a million, and what availability budgets cost a step of an update.
// README.md says what the figures mean.
import { parseArgs } from 'node:util';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { startPostgres } from '../dev/stack/postgres.ts';
import { createDatabase, type Db } from '../lib/db/database.ts';
import { migrateToLatest } from '../lib/db/migrate.ts';
import { DeviceFilter } from '../lib/fleet/device-filter.ts';
import { filteredDevices } from '../lib/fleet/device-filter-queries.ts';
import { AdvanceMessage } from '../lib/update/messages.ts';
import { dryRunUpdate } from '../lib/update/plan/dry-run-update.ts';
import { requestUpdate } from '../lib/update/plan/request-update.ts';
import { advanceUpdate } from '../lib/update/walk/advance-update.ts';
import { givenFirmware, silentLog, updateRequest } from '../test/support/fixtures.ts';
import { InMemoryQueue } from '../test/support/in-memory-queue.ts';
import { givenUpdate } from './fleet.ts';
import { percentile, printRow } from './measure.ts';

const { values } = parseArgs({
  options: { devices: { type: 'string', default: '1000000' }, zones: { type: 'string', default: '200' } },
});
const [devices, zones] = [Number(values.devices), Number(values.zones)];
/** Of vega_mcu; each is run by as many devices. */
const versions = 50;
const atWork = 20_000;
/** Of the update whose steps are measured. */
const waiting = 100_000;
const steps = 20;

const postgres = await startPostgres({
  settings: ['shared_buffers=1GB', 'work_mem=16MB', 'maintenance_work_mem=256MB', 'max_wal_size=8GB', 'random_page_cost=1.1'],
});
let statements = 0;
try {
  const url = await postgres.createDatabase('bench');
  await migrateToLatest(url);
  const db = createDatabase({ url, maxConnections: 1, onStatement: () => (statements += 1) });
  // The service's own connections give up on statements that take as long as these.
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  pool.on('error', () => {}); // the error that ends the bench comes first
  const patient: Db = new Kysely({ dialect: new PostgresDialect({ pool }) });
  await givenMany(patient);
  await measureFilters(db, patient);
  await measureBudgets(db, patient);
  await db.destroy();
  await patient.destroy();
} finally {
  await postgres.stop();
}

async function givenMany(db: Db): Promise<void> {
  const began = performance.now();
  for (let n = 1; n <= versions; n += 1) await givenFirmware(db, { version: `${n}` });
  // All constraints are fulfilled, and what is counted is counted once at the end.
  await sql`SET session_replication_role = replica`.execute(db);
  await sql`
    INSERT INTO zones (name, time_zone, created_dt)
    SELECT 'zone-' || n, 'Europe/Moscow', now() FROM generate_series(1, ${zones}::integer) n`.execute(db);
  await sql`
    INSERT INTO devices (kind, external_id, version, channel, zone, tags, created_dt, last_seen_dt)
    SELECT 'scooter', 'S-' || n, 1 + n % 2, 'telematics', 'zone-' || 1 + n % ${zones}::integer,
           CASE WHEN n % 1000 = 7 THEN '{night,rare}'::text[] WHEN n % 7 = 0 THEN '{night}' ELSE '{}' END, now(), now()
    FROM generate_series(1, ${devices}::integer) n`.execute(db);
  await sql`
    INSERT INTO device_firmwares (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, observed_dt, source)
    SELECT d.id, type, f.id, (1 + d.id * 7 % ${versions}::integer)::text, now(), now(), 'confirmation'
    FROM devices d CROSS JOIN unnest(ARRAY['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate']) AS t (type)
    LEFT JOIN firmwares f ON f.hardware_type = type AND f.version = (1 + d.id * 7 % ${versions}::integer)::text`.execute(db);
  await sql`SELECT recount_fleet()`.execute(db);
  await sql`SET session_replication_role = origin`.execute(db);
  await sql`VACUUM ANALYZE`.execute(db);
  console.log(`${devices} devices in ${zones} zones: ${((performance.now() - began) / 1_000).toFixed(0)} s\n`);
}

async function timed<T>(work: () => Promise<T>): Promise<{ answer: T; milliseconds: number }> {
  const began = performance.now();
  return { answer: await work(), milliseconds: performance.now() - began };
}

async function useIndexes(db: Db, value: 'on' | 'off'): Promise<void> {
  await sql`
    SELECT set_config('enable_' || kind, ${value}, false)
    FROM unnest(ARRAY['indexscan', 'bitmapscan', 'indexonlyscan']) kind`.execute(db);
}

/** Each in turn with the same filter answered by reading the whole table, which is what a plan without an index does. */
async function measureFilters(db: Db, patient: Db): Promise<void> {
  const version = { hardware_type: 'vega_mcu', version: '3' };
  const filters: [string, object][] = [
    ['zone', { zone: 'zone-5' }],
    ['tag', { tags: { all: ['rare'] } }],
    ['running version', { running: version }],
    ['zone and tag', { zone: 'zone-5', tags: { any: ['night'] } }],
    ['zone and not running', { zone: 'zone-5', not_running: version }],
    ['zone, 10 % of it', { zone: 'zone-5', percentage: 10 }],
  ];
  printRow(
    'filter',
    'devices',
    'found ms',
    'by reading all ms',
    'ratio',
    'sequential scan',
    'dry run ms',
    'request ms',
    'request ms a device',
  );
  printRow(...Array<string>(9).fill('---'));
  for (const [name, conditions] of filters) {
    const filter = DeviceFilter.parse({ kind: 'scooter', ...conditions });
    const found = sql`SELECT count(*) FROM (${filteredDevices(filter, { now: new Date() })}) d`;
    const find = () => timed(() => found.execute(patient));
    const [indexed, all]: [number[], number[]] = [[], []];
    for (let turn = 0; turn < 3; turn += 1) {
      indexed.push((await find()).milliseconds);
      await useIndexes(patient, 'off');
      all.push((await find()).milliseconds);
      await useIndexes(patient, 'on');
    }
    const { rows } = await sql<{ 'QUERY PLAN': string }>`EXPLAIN ${found}`.execute(db);
    const isSequential = rows.some((row) => /Seq Scan on (devices|device_firmwares)\b/.test(row['QUERY PLAN']));
    const firmware = await givenFirmware(db);
    const request = updateRequest({ firmware_id: firmware.id, targets: { filter: { kind: 'scooter', ...conditions } } });
    const deps = { db, advances: new InMemoryQueue<AdvanceMessage>(), now: () => new Date() };
    const dryRun = await timed(() => dryRunUpdate(deps, request, undefined));
    const requested = await timed(() => requestUpdate(deps, request));
    const count = requested.answer.counts.QUEUED;
    const [ours, theirs] = [percentile(indexed, 50), percentile(all, 50)];
    const times = [ours, theirs].map((ms) => ms.toFixed(1));
    printRow(
      ...[name, count, ...times, (ours / theirs).toFixed(3), isSequential ? 'YES' : 'no', dryRun.milliseconds.toFixed(0)],
      ...[requested.milliseconds.toFixed(0), (requested.milliseconds / count).toFixed(4)],
    );
    await sql`DELETE FROM update_executions`.execute(patient);
    await sql`UPDATE updates SET status = 'COMPLETED', finished_dt = now()`.execute(patient);
    await sql`VACUUM ANALYZE update_executions`.execute(patient);
  }
}

/** Steps of an update whose devices wait in all zones, beside so many devices that are at work for another one. */
async function measureBudgets(db: Db, patient: Db): Promise<void> {
  await givenUpdate(patient, { phase: 'asked', hardware_type: 'vega_gsm', devices: sql`true`, limit: atWork });
  await sql`UPDATE update_executions e SET zone = d.zone FROM devices d WHERE d.id = e.device_id`.execute(patient);
  console.log(`\n${waiting} devices wait in ${zones} zones, ${atWork} others are at work:\n`);
  printRow('budget', 'statements a step', 'step p50 ms', 'p99 ms', 'released a step');
  printRow(...Array<string>(5).fill('---'));
  for (const [name, percentage] of [
    ['none', 100],
    ['10 % of each zone', 10],
    ['none', 100],
    ['10 % of each zone', 10],
    ['1 % of each zone: all are full', 1],
  ] as const) {
    const { milliseconds, statementsEach, releasedEach } = await walkOn(db, await givenWaiting(patient, percentage));
    printRow(
      ...[name, statementsEach.toFixed(1), percentile(milliseconds, 50).toFixed(1), percentile(milliseconds, 99).toFixed(1)],
      releasedEach.toFixed(0),
    );
  }
}

/** An update of 30,000 devices a minute. */
async function givenWaiting(db: Db, percentage: number): Promise<number> {
  const firmware = await givenFirmware(db);
  await sql`DELETE FROM update_executions WHERE hardware_type = 'vega_mcu'`.execute(db);
  await sql`UPDATE updates SET finished_dt = now(), status = 'COMPLETED' WHERE finished_dt IS NULL AND maximum_per_minute = 30000`.execute(
    db,
  );
  const { rows } = await sql<{ id: number }>`
    INSERT INTO updates
      (firmware_id, status, maximum_per_minute, maximum_unavailable_percentage, allow_downgrade, comment, request_hash, request_id, created_by, created_dt, planned)
    VALUES (${firmware.id}, 'SCHEDULED', 30000, ${percentage}, false, '', 'h', 'r', 'bench', now(), ${JSON.stringify({ ELIGIBLE: waiting })})
    RETURNING id`.execute(db);
  const id = rows[0]?.id ?? 0;
  await sql`
    INSERT INTO update_executions (update_id, device_id, hardware_type, phase, status, queued_dt, zone)
    SELECT ${id}::integer, id, 'vega_mcu', 'waiting', 'QUEUED', now(), zone FROM devices WHERE id > ${atWork}::integer ORDER BY id LIMIT ${waiting}::integer`.execute(
    db,
  );
  await sql`VACUUM ANALYZE update_executions, updates`.execute(db);
  return id;
}

/** Chunks are answered at once, so that each step releases what its pace allows. */
async function walkOn(db: Db, id: number) {
  const advances = new InMemoryQueue<AdvanceMessage>();
  let now = new Date();
  const deps = { db, advances, dispatches: new InMemoryQueue(), verifications: new InMemoryQueue(), log: silentLog, now: () => now };
  await advances.send([{ update_id: id, step: 0, created_dt: now }]);
  const milliseconds: number[] = [];
  statements = 0;
  for (let n = 0; n < steps; n += 1) {
    const [message] = advances.take();
    const step = await timed(() => advanceUpdate(deps as never, AdvanceMessage.parse(JSON.parse(JSON.stringify(message)))));
    milliseconds.push(step.milliseconds);
    // Chunks are answered at once.
    await sql`UPDATE update_dispatches SET answered_dt = ${now} WHERE update_id = ${id} AND answered_dt IS NULL`.execute(db);
    statements -= 1;
    now = new Date(now.getTime() + 1_000);
  }
  const { rows } = await sql<{ released: number }>`
    SELECT count(*)::integer AS released FROM update_executions WHERE update_id = ${id} AND phase <> 'waiting'`.execute(db);
  return { milliseconds, statementsEach: (statements - 1) / steps, releasedEach: (rows[0]?.released ?? 0) / steps };
}
