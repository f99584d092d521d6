// `npm run bench:supersede`: how long the answer to a request takes that supersedes an update of a million devices, how long until it has taken
// them over, and what the steps of both updates take meanwhile.
import { parseArgs } from 'node:util';
import { sql } from 'kysely';
import { startPostgres } from '../dev/stack/postgres.ts';
import { createDatabase, type Db } from '../lib/db/database.ts';
import { migrateToLatest } from '../lib/db/migrate.ts';
import { getUpdate } from '../lib/update/get-update.ts';
import { AdvanceMessage } from '../lib/update/messages.ts';
import { requestUpdate } from '../lib/update/plan/request-update.ts';
import { advanceUpdate } from '../lib/update/walk/advance-update.ts';
import { givenFirmware, silentLog, updateRequest } from '../test/support/fixtures.ts';
import { InMemoryQueue } from '../test/support/in-memory-queue.ts';
import { percentile } from './measure.ts';
import { seedScooters, settingsForMillions, timed } from './millions.ts';

const { values } = parseArgs({ options: { devices: { type: 'string', default: '1000000' } } });
const devices = Number(values.devices);

const postgres = await startPostgres({ settings: settingsForMillions });
try {
  const url = await postgres.createDatabase('bench');
  await migrateToLatest(url);
  const db = createDatabase({ url, maxConnections: 1 });
  await seed(db);
  const targets = { filter: { kind: 'scooter', external_id_prefix: 'P-' } };
  const advances = new InMemoryQueue<AdvanceMessage>();
  const deps = { db, advances, dispatches: new InMemoryQueue(), verifications: new InMemoryQueue(), log: silentLog, now: () => new Date() };
  const request = async (supersede: boolean) =>
    requestUpdate(deps as never, updateRequest({ firmware_id: (await givenFirmware(db)).id, targets, supersede, canary: null }));
  const step = async (update_id: number) => {
    const row = await db.selectFrom('updates').select(['next_step', 'created_dt']).where('id', '=', update_id).executeTakeFirstOrThrow();
    advances.take();
    await advanceUpdate(deps as never, AdvanceMessage.parse({ update_id, step: row.next_step, created_dt: row.created_dt }));
  };
  const old = await timed('the answer to an ordinary request', () => request(false));
  await timed('its first step', () => step(old.id));
  const newer = await timed('the answer to one that supersedes it', () => request(true));
  const [mine, theirs]: [number[], number[]] = [[], []];
  const measured = async (times: number[], id: number) => {
    const began = performance.now();
    await step(id);
    times.push(performance.now() - began);
  };
  await timed('until all are taken over', async () => {
    for (let claimed = 1; claimed > 0; claimed = (await getUpdate(db, newer.id, new Date())).claimed) {
      await measured(mine, newer.id);
      if (mine.length % 10 === 0) await measured(theirs, old.id);
    }
  });
  for (const [name, times] of [
    ['a step of the newer update', mine],
    ['a step of the older update', theirs],
  ] as const) {
    // A bench of few devices needs no ten steps.
    if (times.length === 0) continue;
    const [p50, most] = [percentile(times, 50), percentile(times, 100)];
    console.log(`${(p50 / 1_000).toFixed(3).padStart(8)} s  ${name}, ${times.length} of them; the longest ${(most / 1_000).toFixed(3)} s`);
  }
  await timed('the first step that asks', () => step(newer.id));
  const [{ counts: before }, { counts: after }] = [await getUpdate(db, old.id, new Date()), await getUpdate(db, newer.id, new Date())];
  console.log(JSON.stringify({ older: before, newer: after }));
  await db.destroy();
} finally {
  await postgres.stop();
}

async function seed(db: Db): Promise<void> {
  await seedScooters(db, devices);
  await sql`SET statement_timeout = 0`.execute(db);
  await sql`VACUUM ANALYZE`.execute(db);
  await sql`SET statement_timeout = '25s'`.execute(db);
}
