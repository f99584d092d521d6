import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { freePort } from '../../../dev/stack/free-port.ts';
import { startPostgres } from '../../../dev/stack/postgres.ts';
import { createHandler as createConfirmUpdate } from '../../../functions/confirm-update/handler.ts';
import { createHandler as createGetDevices } from '../../../functions/get-device-versions/handler.ts';
import { createHandler as createGetUpdates } from '../../../functions/get-updates/handler.ts';
import { createHandler as createGetVersions } from '../../../functions/get-versions/handler.ts';
import { createHandler as createHealth } from '../../../functions/health/handler.ts';
import { createHandler as createListDevices } from '../../../functions/list-devices/handler.ts';
import { createHandler as createRegisterDevices } from '../../../functions/register-devices/handler.ts';
import { createHandler as createRequestUpdate } from '../../../functions/request-update/handler.ts';
import { createDatabase } from '../../../lib/db/database.ts';
import { migrateToLatest } from '../../../lib/db/migrate.ts';
import type { AdvanceMessage } from '../../../lib/update/messages.ts';
import { catalogueDeps } from '../../support/catalogue.ts';
import { givenDevices, givenFirmware } from '../../support/fixtures.ts';
import { type CallAnswer, call, createIdentity } from '../../support/http.ts';
import { InMemoryQueue } from '../../support/in-memory-queue.ts';

// A server of this file's own, which it can stop and start at the same address with the same data.
const directory = await mkdtemp(join(tmpdir(), 'scooters-outage-'));
const port = await freePort();
let postgres = await startPostgres({ directory, port });
let isUp = true;
const stop = async () => {
  await postgres.stop();
  isUp = false;
};
const start = async () => {
  postgres = await startPostgres({ directory, port });
  isUp = true;
};
const url = await postgres.createDatabase('fleet');
await migrateToLatest(url);
/** Looks at what is stored, beside the pool that the handlers have. */
const db = createDatabase({ url, maxConnections: 2 });
const pool = createDatabase({ url, maxConnections: 4 });
const { authenticate, token } = await createIdentity();
const bearer = await token();
const advances = new InMemoryQueue<AdvanceMessage>();
const deps = { ...catalogueDeps(pool), authenticate, advances };
afterAll(async () => {
  await pool.destroy();
  await db.destroy();
  if (isUp) await stop();
  await rm(directory, { recursive: true });
});
beforeEach(async () => {
  if (!isUp) await start();
});

const firmware = await givenFirmware(db, { version: '1.0' });
await givenFirmware(db, { hardware_type: 'vega_gsm', version: '2.0' });
const [external_id = ''] = await givenDevices(db);
const occurred_dt = deps.now().toISOString();
const reportOf = (id: string, hardware_type: string, version: string) => ({
  ...{ external_id: id, hardware_type, version, status: 'SUCCEEDED', occurred_dt },
});

const handlers = {
  confirmUpdate: createConfirmUpdate(deps),
  getDevices: createGetDevices(deps),
  getUpdates: createGetUpdates(deps),
  getVersions: createGetVersions(deps),
  health: createHealth(deps),
  listDevices: createListDevices(deps),
  registerDevices: createRegisterDevices(deps),
  requestUpdate: createRequestUpdate(deps),
};
const confirm = (...confirmations: object[]) =>
  call<{ outcomes: { outcome: string }[] }>(handlers.confirmUpdate, {
    ...{ method: 'POST', path: '/v1/confirmations', token: bearer, body: { confirmations } },
  });
await confirm(reportOf(external_id, 'vega_mcu', '1.0'), reportOf(external_id, 'vega_gsm', '2.0'));

let counter = 0;
/** Ids of devices whose registration was answered with 200. */
const registered: string[] = [];

const register = async () => {
  counter += 1;
  const ids = [`S-a-${counter}`, `S-b-${counter}`];
  const devices = ids.map((id) => ({ kind: 'scooter', external_id: id, version: 1 }));
  const answer = await call(handlers.registerDevices, { method: 'PUT', path: '/v1/devices', token: bearer, body: { devices } });
  if (answer.statusCode === 200) registered.push(...ids);
  return answer;
};
const read = (handler: keyof typeof handlers, path: string, more: object = {}) =>
  call<Record<string, unknown>>(handlers[handler], { method: 'GET', path, token: bearer, ...more });

/** Every route, with what a whole answer has. */
const routes: Record<string, [ask: () => Promise<CallAnswer<unknown>>, whole: object]> = {
  'GET /v1/health': [() => read('health', '/v1/health'), { status: 'ok', database: 'ok' }],
  'GET /v1/scooters/{external_id}': [
    () => read('getDevices', '/v1/scooters/{external_id}', { pathParameters: { external_id } }),
    { firmwares: [{ hardware_type: 'vega_gsm' }, { hardware_type: 'vega_mcu' }] },
  ],
  'GET /v1/scooters/{external_id}?history=true': [
    () => read('getDevices', '/v1/scooters/{external_id}', { pathParameters: { external_id }, query: { history: 'true' } }),
    { firmwares: [{}, {}], history: { items: [{}, {}] } },
  ],
  'GET /v1/devices': [
    () => read('listDevices', '/v1/devices', { query: { runs_firmware_id: String(firmware.id) } }),
    { items: [{ external_id, firmwares: [{}, {}] }] },
  ],
  'GET /v1/firmwares': [() => read('getVersions', '/v1/firmwares'), { items: [{ device_count: 1 }, { device_count: 1 }] }],
  'GET /v1/firmwares?links=true': [
    () => read('getVersions', '/v1/firmwares', { query: { links: 'true' } }),
    { items: [{}, {}], storage: 'available' },
  ],
  'GET /v1/updates': [() => read('getUpdates', '/v1/updates'), { items: [] }],
  'PUT /v1/devices': [register, { created: 2, changed: 0, unchanged: 0 }],
  'POST /v1/confirmations': [
    () => confirm(reportOf(external_id, 'vega_mcu', '1.0'), reportOf(external_id, 'vega_gsm', '2.0')),
    { outcomes: [{ outcome: 'unchanged' }, { outcome: 'unchanged' }] },
  ],
};

const expectWholeOrUnavailable = (name: string, answer: CallAnswer<unknown>): void => {
  if (answer.statusCode !== 503) {
    expect(answer, name).toMatchObject({ statusCode: 200, body: routes[name]?.[1] });
    return;
  }
  expect(answer, name).toMatchObject({
    headers: { 'content-type': 'application/problem+json', 'retry-after': expect.stringMatching(/^[1-9]\d*$/) },
    body: { code: 'database.unavailable' },
  });
};

/** Callers that ask for one route after another, until they are told to stop. */
const startCallers = (count: number) => {
  const seen = new Map<string, Set<number>>();
  let answers = 0;
  let isStopping = false;
  const callers = Array.from({ length: count }, async (_, offset) => {
    const names = Object.keys(routes);
    for (let i = offset; !isStopping; i += 1) {
      const name = names[i % names.length] ?? '';
      const answer = await routes[name]?.[0]();
      if (!answer) continue;
      expectWholeOrUnavailable(name, answer);
      answers += 1;
      seen.set(name, (seen.get(name) ?? new Set()).add(answer.statusCode));
    }
  });
  const all = Promise.all(callers);
  all.catch(() => {}); // thrown where it is awaited
  return {
    answers: () => answers,
    /** Until every route has been answered with the status. */
    waitForAll: (status: number) =>
      vi.waitFor(() => expect(Object.keys(routes).filter((name) => !seen.get(name)?.has(status))).toEqual([]), { timeout: 20_000 }),
    forget: () => seen.clear(),
    stop: () => {
      isStopping = true;
      return all;
    },
  };
};

describe('the database is stopped and started under requests', () => {
  it('every answer is whole or 503 with Retry-After, and the next one after it is back is whole, of the same handlers', {
    timeout: 60_000,
  }, async () => {
    const callers = startCallers(8);
    await callers.waitForAll(200);
    await stop();
    callers.forget();
    await callers.waitForAll(503);
    await start();
    for (const [name, [ask]] of Object.entries(routes)) expect((await ask()).statusCode, name).toBe(200);
    callers.forget();
    await callers.waitForAll(200);
    await callers.stop();

    const stored = await db.selectFrom('devices').select('external_id').where('external_id', 'in', registered).execute();
    expect(new Set(stored.map((row) => row.external_id))).toEqual(new Set(registered));
    // A registration that was not answered with 200 is stored whole or not at all.
    const { rows } = await sql<{ half: number }>`
      SELECT count(*) AS half FROM (
        SELECT FROM devices WHERE external_id ~ '^S-[ab]-' GROUP BY substr(external_id, 5) HAVING count(*) <> 2
      ) halves`.execute(db);
    expect(rows).toEqual([{ half: 0 }]);
  });

  it('three times in a row', { timeout: 90_000 }, async () => {
    const callers = startCallers(4);
    for (let round = 0; round < 3; round += 1) {
      callers.forget();
      await callers.waitForAll(200);
      await stop();
      await start();
      expect((await routes['GET /v1/health']?.[0]())?.statusCode).toBe(200);
    }
    await callers.stop();
  });

  it('while nobody asks: the first request afterwards is answered', async () => {
    for (const [name, [ask]] of Object.entries(routes)) expect((await ask()).statusCode, name).toBe(200);
    await stop();
    await start();
    for (const [name, [ask]] of Object.entries(routes)) expect((await ask()).statusCode, name).toBe(200);
  });
});

describe('the database is lost in the middle of a transaction', () => {
  const request = (key: string, target: string) =>
    call<{ id: number }>(handlers.requestUpdate, {
      ...{ method: 'POST', path: '/v1/updates', token: bearer, headers: { 'Idempotency-Key': key } },
      body: { firmware_id: firmware.id, targets: { external_ids: [target] } },
    });
  const unavailable = { statusCode: 503, headers: { 'retry-after': '2' }, body: { code: 'database.unavailable' } };

  it('request-update: 503 and nothing is stored; the same request afterwards starts the update, once', async () => {
    const [target = ''] = await givenDevices(db);
    const send = advances.send.bind(advances);
    // The last act before the commit.
    advances.send = async (...args) => {
      await send(...args);
      await stop();
    };
    expect(await request('outage-1', target)).toMatchObject(unavailable);
    advances.send = send;
    await start();
    expect(await db.selectFrom('updates').select('id').execute()).toEqual([]);
    expect(await db.selectFrom('update_executions').select('id').execute()).toEqual([]);

    const answer = await request('outage-1', target);
    expect(answer.statusCode).toBe(202);
    expect((await request('outage-1', target)).body.id).toBe(answer.body.id);
    expect(await db.selectFrom('updates').select('id').execute()).toEqual([{ id: answer.body.id }]);
    expect(await db.selectFrom('update_executions').select('status').execute()).toEqual([{ status: 'QUEUED' }]);
  });

  it('confirm-update: 503 and no report of the batch is stored; the same batch afterwards is stored whole', async () => {
    const targets = await givenDevices(db, 3);
    const batch = targets.flatMap((id) => [reportOf(id, 'vega_mcu', '1.0'), reportOf(id, 'audio_lock', 'new')]);
    const history = () =>
      db
        .selectFrom('device_firmware_history as h')
        .innerJoin('devices as d', 'd.id', 'h.device_id')
        .select('d.external_id')
        .where('d.external_id', 'in', targets)
        .execute();
    const counted = async () =>
      (
        await sql<{
          n: number;
        }>`SELECT coalesce(sum(device_count), 0) AS n FROM device_firmware_counts WHERE reported_version = 'new'`.execute(db)
      ).rows[0]?.n;

    // Holds the batch up where it stores what it has learned, the devices being locked already.
    const holding = db.transaction().execute(async (trx) => {
      await sql`LOCK TABLE device_firmware_history IN EXCLUSIVE MODE`.execute(trx);
      const answer = confirm(...batch);
      await vi.waitFor(async () => {
        const { rows } = await sql<{ n: number }>`SELECT count(*) AS n FROM pg_locks WHERE NOT granted`.execute(trx);
        expect(rows).toEqual([{ n: 1 }]);
      });
      await stop();
      return { answer };
    });
    await expect(holding).rejects.toThrow();
    await start();
    expect(await history()).toEqual([]);
    expect(await counted()).toBe(0);
    const seen = db.selectFrom('devices').select('last_seen_dt').where('external_id', 'in', targets);
    expect(await seen.execute()).toEqual(targets.map(() => ({ last_seen_dt: null })));

    const answer = await confirm(...batch);
    expect(answer.statusCode).toBe(200);
    expect(answer.body.outcomes.map(({ outcome }) => outcome)).toEqual(Array(6).fill('stored'));
    expect(await history()).toHaveLength(6);
    expect(await counted()).toBe(3);
  });
});
