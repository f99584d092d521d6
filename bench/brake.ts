// `npm run bench:brake`: how long the admin waits for the answer to a cancel, how long until all executions have ended, and how long reads of
// updates take meanwhile, beside ten million executions of other updates.
import { parseArgs } from 'node:util';
import { sql } from 'kysely';
import { startPostgres } from '../dev/stack/postgres.ts';
import { createDatabase, type Db } from '../lib/db/database.ts';
import { migrateToLatest } from '../lib/db/migrate.ts';
import { getExecutions, getUpdate, listUpdates } from '../lib/update/get-update.ts';
import { AdvanceMessage } from '../lib/update/messages.ts';
import { advanceUpdate } from '../lib/update/walk/advance-update.ts';
import { cancelUpdate } from '../lib/update/walk/control-update.ts';
import { givenFirmware, silentLog } from '../test/support/fixtures.ts';
import { InMemoryQueue } from '../test/support/in-memory-queue.ts';
import { part, seedScooters, settingsForMillions, timed } from './millions.ts';

/** Who asks for changes. */
const bench = { subject: 'bench', request_id: 'bench' };

const { values } = parseArgs({
  options: { devices: { type: 'string', default: '1000000' }, history: { type: 'string', default: '10000000' } },
});
const [devices, history] = [Number(values.devices), Number(values.history)];
const devicesPerPast = 200_000;

const postgres = await startPostgres({ settings: settingsForMillions });
try {
  const url = await postgres.createDatabase('bench');
  await migrateToLatest(url);
  const db = createDatabase({ url, maxConnections: 1 });
  await seedScooters(db, devices);
  await seedHistory(db);
  const id = await brake(db, false);
  await brake(db, true);
  const page = { limit: 50 };
  await timed(`GET /v1/updates, beside ${history} executions`, () => listUpdates(db, page, new Date()));
  await timed('GET /v1/updates/{id} of a million', () => getUpdate(db, id, new Date()));
  await timed('GET /v1/updates/{id}/executions, the latest update', () => getExecutions(db, { update_id: id, ...page }, new Date()));
  await timed('the same of the first update', () => getExecutions(db, { update_id: 1, ...page }, new Date()));
  await timed('the same by status', () => getExecutions(db, { update_id: 1, status: 'FAILED', ...page }, new Date()));
  await timed('the same by reason', () => getExecutions(db, { update_id: 1, reason: 'DEVICE_FAILED', ...page }, new Date()));
  await timed('the same by a reason that none has', () => getExecutions(db, { update_id: 1, reason: 'NONE', ...page }, new Date()));
  await db.destroy();
} finally {
  await postgres.stop();
}

/** Updates that ended, of 200,000 devices each, one in thirty of which failed. */
async function seedHistory(db: Db): Promise<void> {
  const firmware = await givenFirmware(db);
  const each = Math.min(devicesPerPast, devices);
  const updates = Math.floor(history / each);
  await timed(`${updates} updates of ${each} devices`, async () => {
    for (let update = 1; update <= updates; update += 1) {
      await sql`
        INSERT INTO updates (firmware_id, status, maximum_per_minute, allow_downgrade, comment, request_hash, request_id, created_by, created_dt, finished_dt, final_counts)
        VALUES (${firmware.id}, 'COMPLETED', 30000, false, '', 'h', 'r', 'bench', now(), now(), '{"SUCCEEDED": 193334, "FAILED": 6666}')`.execute(
        db,
      );
      for (let first = 1; first <= each; first += part) {
        await sql`
          INSERT INTO update_executions (update_id, device_id, hardware_type, phase, status, reason, queued_dt, sent_dt, finished_dt)
          SELECT ${update}, n, 'vega_mcu', 'ended', CASE n % 30 WHEN 0 THEN 'FAILED' ELSE 'SUCCEEDED' END,
                 CASE n % 30 WHEN 0 THEN 'DEVICE_FAILED' END, now(), now(), now()
          FROM generate_series(${first}::integer, ${Math.min(each, first + part - 1)}::integer) n`.execute(db);
      }
    }
    await sql`SET statement_timeout = 0`.execute(db);
    await sql`VACUUM ANALYZE`.execute(db);
    await sql`SET statement_timeout = '25s'`.execute(db);
  });
}

/** Plans an update of all devices, with the same result as a request, but in parts, because this bench does not measure planning. */
async function givenPlanned(db: Db): Promise<number> {
  const firmware = await givenFirmware(db);
  const { rows } = await sql<{ id: number }>`
    INSERT INTO updates (firmware_id, status, maximum_per_minute, allow_downgrade, comment, request_hash, request_id, created_by, created_dt, planned)
    VALUES (${firmware.id}, 'SCHEDULED', 30000, false, '', 'h', 'r', 'bench', now(), ${JSON.stringify({ ELIGIBLE: devices })})
    RETURNING id`.execute(db);
  const id = rows[0]?.id ?? 0;
  for (let first = 1; first <= devices; first += part) {
    await sql`
      INSERT INTO update_executions (update_id, device_id, hardware_type, phase, status, queued_dt)
      SELECT ${id}, n, 'vega_mcu', 'waiting', 'QUEUED', now()
      FROM generate_series(${first}::integer, ${Math.min(devices, first + part - 1)}::integer) n`.execute(db);
  }
  return id;
}

/** Plans an update of all devices and cancels it, with some of them asked; answers its id. */
async function brake(db: Db, force: boolean): Promise<number> {
  const advances = new InMemoryQueue<AdvanceMessage>();
  const deps = { db, advances, dispatches: new InMemoryQueue(), verifications: new InMemoryQueue(), log: silentLog, now: () => new Date() };
  const name = force ? 'a cancel with force' : 'a cancel';
  const id = await timed(`${devices} executions, before ${name}`, () => givenPlanned(db));
  await advances.send([{ update_id: id, step: 0, created_dt: new Date() }]);
  const step = async () => {
    const [message] = advances.take();
    if (message) await advanceUpdate(deps as never, AdvanceMessage.parse(JSON.parse(JSON.stringify(message))));
    return message !== undefined;
  };
  await timed('its first step', step);
  for (const n of [Math.min(9_000, devices), devices]) {
    const filter = { update_id: id, external_id: `P-${n}`, limit: 1 };
    await timed(`GET of device ${n} alone, with its place`, () => getExecutions(db, filter, new Date()));
  }
  const answer = await timed(`the answer to ${name}`, () => cancelUpdate(deps as never, id, { force, reason: null }, bench));
  console.log(`            canceled ${answer.canceled}, canceling ${answer.canceling}`);
  // The first message goes on with the walk; the one of the step before finds it passed.
  let longest = 0;
  let steps = 0;
  await timed('until all have ended', async () => {
    for (let isFinished = false; !isFinished; ) {
      const began = performance.now();
      if (!(await step())) throw new Error('The walk has ended before its executions');
      steps += 1;
      longest = Math.max(longest, performance.now() - began);
      const { finished_dt } = await db.selectFrom('updates').select('finished_dt').where('id', '=', id).executeTakeFirstOrThrow();
      isFinished = finished_dt !== null;
    }
  });
  console.log(`            ${steps} steps, the longest took ${(longest / 1_000).toFixed(2)} s`);
  return id;
}
