// `npm run bench:update`: what an update costs: statements, messages and processor time of 20,000 devices, and the planning of a million.
import { parseArgs } from 'node:util';
import { sql } from 'kysely';
import { startPostgres } from '../dev/stack/postgres.ts';
import { createDatabase } from '../lib/db/database.ts';
import { migrateToLatest } from '../lib/db/migrate.ts';
import type { Queue } from '../lib/ports/queue.ts';
import { requestUpdate } from '../lib/update/plan/request-update.ts';
import { givenDevices, givenFirmware, updateRequest } from '../test/support/fixtures.ts';
import { InMemoryQueue } from '../test/support/in-memory-queue.ts';
import { createSimulatedWalk } from '../test/support/simulated-walk.ts';

const { values } = parseArgs({
  options: { devices: { type: 'string', default: '20000' }, planned: { type: 'string', default: '1000000' } },
});
const [devices, planned] = [Number(values.devices), Number(values.planned)];

const postgres = await startPostgres({ settings: ['shared_buffers=1GB', 'work_mem=16MB', 'max_wal_size=8GB', 'random_page_cost=1.1'] });
try {
  const url = await postgres.createDatabase('bench');
  await migrateToLatest(url);
  await walk(url);
  await plan(url);
} finally {
  await postgres.stop();
}

/** The engine with its real SQL; queues, backend, devices and the clock are simulated, so that what is measured is the engine's own. */
async function walk(url: string): Promise<void> {
  let statements = 0;
  const db = createDatabase({ url, maxConnections: 20, onStatement: () => (statements += 1) });
  try {
    const engine = createSimulatedWalk(db);
    const { advances, dispatches, verifications } = engine.deps;
    let requests = 0;
    const counted = <Message>(queue: Queue<Message>) => {
      const send = queue.send.bind(queue);
      queue.send = (messages, options) => {
        requests += Math.ceil(messages.length / 10);
        return send(messages, options);
      };
    };
    counted(advances);
    counted(dispatches);
    counted(verifications);
    const firmware = await givenFirmware(db);
    const external_ids: string[] = [];
    for (let left = devices; left > 0; left -= 5_000) external_ids.push(...(await givenDevices(db, Math.min(5_000, left))));
    let n = 0;
    engine.backend.behave = () => {
      n += 1;
      return { seconds: 20 + (n % 40), result: n % 50 === 0 ? 'fails' : 'succeeds' };
    };
    const { id } = await engine.request({ firmware_id: firmware.id, targets: { filter: { kind: 'scooter' } } });
    statements = 0;
    const began = performance.now();
    await engine.run();
    const seconds = (performance.now() - began) / 1_000;
    const { status, counts } = await engine.find(id);
    const per1000 = (count: number) => ((count * 1_000) / devices).toFixed(1);
    const messages = advances.sent + dispatches.sent + verifications.sent;
    console.log(`${devices} devices: ${status} ${JSON.stringify(counts)} after ${Math.round(engine.seconds())} simulated seconds`);
    console.log(`${Math.round(devices / seconds)} executions finished per second of this machine (${seconds.toFixed(1)} s)`);
    console.log(
      `per 1,000 devices: ${per1000(statements)} SQL statements, ${per1000(messages)} messages in ${per1000(requests)} SQS sends`,
    );
    console.log(`messages: ${advances.sent} advances, ${dispatches.sent} dispatches, ${verifications.sent} verifications`);
  } finally {
    await db.destroy();
  }
}

async function plan(url: string): Promise<void> {
  const db = createDatabase({ url, maxConnections: 1 });
  try {
    // In parts: a statement that takes as long as no statement of a function may would be given up.
    const part = 100_000;
    for (let first = 1; first <= planned; first += part) {
      await sql`
        INSERT INTO devices (kind, external_id, version, channel, created_dt)
        SELECT 'scooter', 'P-' || n, 1 + n % 2, 'telematics', now()
        FROM generate_series(${first}::integer, ${Math.min(planned, first + part - 1)}::integer) n`.execute(db);
    }
    await sql`ANALYZE`.execute(db);
    const firmware = await givenFirmware(db);
    const request = updateRequest({ firmware_id: firmware.id, targets: { filter: { kind: 'scooter' } } });
    let heap = 0;
    const sampling = setInterval(() => {
      heap = Math.max(heap, process.memoryUsage().heapUsed);
    }, 50);
    global.gc?.();
    const before = process.memoryUsage().heapUsed;
    const began = performance.now();
    const { counts } = await requestUpdate({ db, advances: new InMemoryQueue(), now: () => new Date() }, request);
    const seconds = (performance.now() - began) / 1_000;
    clearInterval(sampling);
    const mebibytes = (bytes: number) => (bytes / 1024 ** 2).toFixed(1);
    console.log(
      `planning ${counts.QUEUED} executions by a filter: ${seconds.toFixed(1)} s, heap ${mebibytes(before)} MiB before, at most ${mebibytes(heap)} MiB meanwhile`,
    );
  } finally {
    await db.destroy();
  }
}
