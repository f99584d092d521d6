// The engine with its real SQL. Queues, backend, devices and the clock are simulated, so that only the engine itself is measured.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { createDatabase, type Db } from '../lib/db/database.ts';
import type { Queue } from '../lib/ports/queue.ts';
import { requestUpdate } from '../lib/update/plan/request-update.ts';
import { givenDevices, givenFirmware, updateRequest } from '../test/support/fixtures.ts';
import { InMemoryQueue } from '../test/support/in-memory-queue.ts';
import { createSimulatedWalk } from '../test/support/simulated-walk.ts';

export interface EngineFigures {
  title: string;
  /** Executions a second. */
  rate: number;
  /** Milliseconds of this process and of PostgreSQL, for each execution. */
  own: number;
  theirs: number;
  /** For each execution. */
  statements: string;
  remark: string;
}

type Measure = (databaseUrl: string, postgresTime: () => number) => Promise<EngineFigures[]>;

const ownTime = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

/** Measures time and statements between two moments, divided by `count`. */
const startCount = (count: number, postgresTime: () => number) => {
  const [began, own, theirs] = [performance.now(), ownTime(), postgresTime()];
  return () => ({
    rate: (count * 1_000) / (performance.now() - began),
    own: (ownTime() - own) / count,
    theirs: (postgresTime() - theirs) / count,
  });
};

/** A whole update of so many devices by the defaults (canary of 100, 30,000 a minute), of which 2 % fail, after 20 to 60 s. */
export const measureWalk =
  (devices: number): Measure =>
  async (databaseUrl, postgresTime) => {
    let statements = 0;
    const onStatement = () => (statements += 1);
    const db = createDatabase({ url: databaseUrl, maxConnections: 20, onStatement });
    const kept = createDatabase({ url: databaseUrl, maxConnections: 20, keepsPlans: true, onStatement });
    try {
      const engine = createSimulatedWalk(db, undefined, kept);
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
      for (let left = devices; left > 0; left -= 5_000) await givenDevices(db, Math.min(5_000, left));
      await sql`ANALYZE`.execute(db);
      let n = 0;
      engine.backend.behave = () => {
        n += 1;
        return { seconds: 20 + (n % 40), result: n % 50 === 0 ? 'fails' : 'succeeds' };
      };
      statements = 0;
      const finish = startCount(devices, postgresTime);
      const { id } = await engine.request({ firmware_id: firmware.id, targets: { filter: { kind: 'scooter' } } });
      await engine.run();
      const figures = finish();
      const { counts } = await engine.find(id);
      if (counts.SUCCEEDED + counts.FAILED !== devices) throw new Error(`Not all have ended: ${JSON.stringify(counts)}`);
      const messages = advances.sent + dispatches.sent + verifications.sent;
      const per1000 = (count: number) => ((count * 1_000) / devices).toFixed(1);
      const remark = `${per1000(messages)} messages in ${per1000(requests)} sends per 1,000`;
      return [{ title: 'telematics update, request to proof', ...figures, statements: (statements / devices).toFixed(3), remark }];
    } finally {
      await Promise.all([db.destroy(), kept.destroy()]);
    }
  };

/** Planning by a filter: all devices, of which each runs a version that the catalogue knows; with the machine as it is, and beside two processes at work. */
export const measurePlanning =
  (devices: number): Measure =>
  async (databaseUrl, postgresTime) => {
    const db = createDatabase({ url: databaseUrl, maxConnections: 1 });
    try {
      await givenMany(db, devices);
      const plan = async (title: string): Promise<EngineFigures> => {
        const firmware = await givenFirmware(db);
        const request = updateRequest({ firmware_id: firmware.id, targets: { filter: { kind: 'scooter' } } });
        let heap = 0;
        const sampling = setInterval(() => {
          heap = Math.max(heap, process.memoryUsage().heapUsed);
        }, 50);
        const finish = startCount(devices, postgresTime);
        const { counts } = await requestUpdate({ db, advances: new InMemoryQueue(), now: () => new Date() }, request);
        const figures = finish();
        clearInterval(sampling);
        if (counts.QUEUED !== devices) throw new Error(`Not all were planned: ${JSON.stringify(counts)}`);
        const remark = `${(devices / figures.rate).toFixed(1)} s, heap ${(heap / 1024 ** 2).toFixed(0)} MiB`;
        return { title, ...figures, statements: '', remark };
      };
      const name = `planning ${devices} devices by a filter`;
      const quiet = await plan(name);
      await sql`SET statement_timeout = 0`.execute(db);
      await sql`DELETE FROM update_executions`.execute(db);
      await sql`VACUUM ANALYZE`.execute(db);
      await sql`SET statement_timeout = '25s'`.execute(db);
      const busy = startBusy();
      try {
        return [quiet, await plan(`${name}, both cores busy`)];
      } finally {
        busy.stop();
      }
    } finally {
      await db.destroy();
    }
  };

async function givenMany(db: Db, devices: number): Promise<void> {
  const ran = await givenFirmware(db);
  await sql`SET statement_timeout = 0`.execute(db);
  await sql`
    INSERT INTO devices (kind, external_id, version, channel, created_dt)
    SELECT 'scooter', 'P-' || n, 1 + n % 2, 'telematics', now() FROM generate_series(1, ${devices}::integer) n`.execute(db);
  await sql`
    INSERT INTO device_firmwares (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, observed_dt, source)
    SELECT id, 'vega_mcu', ${ran.id}::integer, ${ran.version}::text, now(), now(), 'confirmation' FROM devices`.execute(db);
  await sql`VACUUM ANALYZE`.execute(db);
  await sql`SET statement_timeout = '25s'`.execute(db);
}

/** Two processes that do nothing but use up the machine's time. */
function startBusy() {
  const children = [1, 2].map(() => fork(fileURLToPath(new URL('busy.mjs', import.meta.url)), { execArgv: [] }));
  return { stop: () => children.forEach((child) => void child.kill('SIGKILL')) };
}
