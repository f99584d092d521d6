import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { sql } from 'kysely';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { freePort } from '../../../dev/stack/free-port.ts';
import { createHandler as createGetDevices } from '../../../functions/get-device-versions/handler.ts';
import { createHandler as createRegisterDevices } from '../../../functions/register-devices/handler.ts';
import { createDatabase, type Db } from '../../../lib/db/database.ts';
import type { AdvanceMessage } from '../../../lib/update/messages.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenDevices, silentLog, TestClock } from '../../support/fixtures.ts';
import { call, createIdentity } from '../../support/http.ts';
import { InMemoryQueue } from '../../support/in-memory-queue.ts';

const { db, url } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const { now } = new TestClock();
const [external_id = ''] = await givenDevices(db);
const bearer = await token();

const getScooter = (database: Db) =>
  call(createGetDevices({ db: database, authenticate, log: silentLog }), {
    method: 'GET',
    path: '/v1/scooters/{external_id}',
    pathParameters: { external_id },
    token: bearer,
  });
const registerScooter = (database: Db, id: string) =>
  call(createRegisterDevices({ db: database, advances: new InMemoryQueue<AdvanceMessage>(), authenticate, log: silentLog, now }), {
    method: 'PUT',
    path: '/v1/devices',
    body: { devices: [{ kind: 'scooter', external_id: id, version: 1 }] },
    token: bearer,
  });

/** A pool of its own, with a name by which its connections can be found and ended. */
const createPool = (options: Partial<Parameters<typeof createDatabase>[0]> = {}) => {
  const pool = createDatabase({ url, maxConnections: 1, ...options });
  onTestFinished(() => pool.destroy());
  return pool;
};
const pidOf = async (pool: Db) => (await sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`.execute(pool)).rows[0]?.pid;
/** Longer than a busy machine needs. */
const patience = { timeout: 20_000 };
const unavailable = { statusCode: 503, body: { code: 'database.unavailable' }, headers: { 'retry-after': '2' } };

describe('a database that is down', () => {
  it('503: nobody listens', async () => {
    expect(await getScooter(createPool({ url: `postgres://x:x@127.0.0.1:${await freePort()}/x` }))).toMatchObject(unavailable);
  });

  it('503: it takes connections and never answers', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const { port } = silent.address() as AddressInfo;
    expect(await getScooter(createPool({ url: `postgres://x:x@127.0.0.1:${port}/x` }))).toMatchObject(unavailable);
  });

  it('503: it hangs up', async () => {
    const rude = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(rude, 'listening');
    onTestFinished(() => void rude.close());
    const { port } = rude.address() as AddressInfo;
    expect(await getScooter(createPool({ url: `postgres://x:x@127.0.0.1:${port}/x` }))).toMatchObject(unavailable);
  });

  it('503: every connection is in use', async () => {
    const pool = createPool();
    await pool.transaction().execute(async (trx) => {
      await sql`SELECT 1`.execute(trx);
      expect(await getScooter(pool)).toMatchObject(unavailable);
    });
    expect(await getScooter(pool)).toMatchObject({ statusCode: 200 });
  });

  it('503: it is restarted during a statement, which is not stored by half; afterwards all goes on by itself', async () => {
    const pool = createPool();
    const pid = await pidOf(pool);
    await db.transaction().execute(async (trx) => {
      await sql`LOCK TABLE devices IN EXCLUSIVE MODE`.execute(trx);
      const answer = registerScooter(pool, 'S-restart');
      await vi.waitFor(async () => {
        const { rows } = await sql<{ n: number }>`SELECT count(*) AS n FROM pg_locks WHERE pid = ${pid} AND NOT granted`.execute(db);
        expect(rows).toEqual([{ n: 1 }]);
      }, patience);
      await sql`SELECT pg_terminate_backend(${pid})`.execute(db);
      expect(await answer).toMatchObject(unavailable);
    });
    expect(await db.selectFrom('devices').select('id').where('external_id', '=', 'S-restart').execute()).toEqual([]);
    expect(await registerScooter(pool, 'S-restart')).toMatchObject({ statusCode: 200, body: { created: 1 } });
  });

  it('200: a connection that broke while idle is replaced, and the log is told', async () => {
    const errors: Error[] = [];
    const pool = createPool({ onIdleError: (error) => errors.push(error) });
    await sql`SELECT pg_terminate_backend(${await pidOf(pool)})`.execute(db);
    await vi.waitFor(() => expect(errors).not.toEqual([]), patience);
    expect(await getScooter(pool)).toMatchObject({ statusCode: 200 });
  });

  it('503: one that does not take the password, which may be on its way to being rotated', async () => {
    const wrong = new URL(url);
    wrong.password = 'wrong';
    expect(await getScooter(createPool({ url: wrong.href }))).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
  });

  it('500 and not 503: a server that has no such database, which no waiting will heal', async () => {
    const wrong = new URL(url);
    wrong.pathname = '/nobodys';
    expect(await getScooter(createPool({ url: wrong.href }))).toMatchObject({ statusCode: 500, body: { code: 'internal' } });
  });
});

describe('values', () => {
  it('64-bit integers are numbers, dates are dates', async () => {
    const { rows } = await sql`SELECT 4294967296::bigint AS n, count(*) AS c, timestamptz '2026-11-24 08:00:00+00' AS dt`.execute(db);
    expect(rows).toEqual([{ n: 4_294_967_296, c: 1, dt: new Date('2026-11-24T08:00:00.000Z') }]);
  });

  it('a statement is ended by the server before API Gateway gives up on its caller, and so is a forgotten transaction', async () => {
    const { rows } =
      await sql`SELECT current_setting('statement_timeout') AS a, current_setting('idle_in_transaction_session_timeout') AS b`.execute(
        createPool(),
      );
    expect(rows).toEqual([{ a: '25s', b: '25s' }]);
  });
});
