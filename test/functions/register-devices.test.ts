import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../dev/stack/free-port.ts';
import { createHandler } from '../../functions/register-devices/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { addDevices, upsertDevices } from '../../lib/fleet/change-queries.ts';
import { NewDevice } from '../../lib/fleet/new-device.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog, startOfTime, TestClock } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { untilWaiting } from '../support/locks.ts';

const { db, takeStatements } = await createTestDatabase();
const identity = await createIdentity();
const { authenticate } = identity;
const token = await identity.token({ scopes: ['devices:write'] });
const clock = new TestClock();
const handler = createHandler({ db, advances: new InMemoryQueue<AdvanceMessage>(), authenticate, log: silentLog, now: clock.now });

const register = (devices: unknown, request: { token?: string } = { token }) =>
  call<{ code: string; errors: { path: string }[] }>(handler, { method: 'PUT', path: '/v1/devices', body: { devices }, ...request });
const storedDevices = () =>
  db
    .selectFrom('devices')
    .select(['kind', 'external_id', 'version', 'channel', 'created_dt'])
    .orderBy('kind')
    .orderBy('external_id')
    .execute();

beforeEach(async () => {
  await sql`TRUNCATE devices CASCADE`.execute(db);
  takeStatements();
});

describe('PUT /v1/devices with partial', () => {
  const registerSome = (devices: unknown) =>
    call<{ refused_count: number; refused: { index: number; external_id: string | null; errors: { path: string }[] }[] }>(handler, {
      ...{ method: 'PUT', path: '/v1/devices', body: { devices, partial: true }, token },
    });

  it('200: a device that is not well-formed, or comes twice, is refused by itself, and the others are stored', async () => {
    const { statusCode, body } = await registerSome([
      { kind: 'scooter', external_id: 'S-1', version: 1 },
      { kind: 'cabinet', external_id: 'C-1', version: 1 },
      { kind: 'bicycle', external_id: 'S 2', wheels: 2 },
      null,
      { kind: 'scooter', external_id: 'S-3', version: 1 },
      { kind: 'scooter', external_id: 'S-3', version: 2 },
      { kind: 'scooter', external_id: 'S-4', version: 2 },
    ]);
    expect(statusCode).toBe(200);
    expect(body).toMatchObject({ created: 2, changed: 0, unchanged: 0, refused_count: 5 });
    expect(body.refused.map(({ index, external_id, errors }) => [index, external_id, errors.map(({ path }) => path).toSorted()])).toEqual([
      [1, 'C-1', ['version']],
      [2, 'S 2', ['external_id', 'kind', 'wheels']],
      [3, null, ['']],
      [4, 'S-3', ['external_id']],
      [5, 'S-3', ['external_id']],
    ]);
    expect((await storedDevices()).map(({ external_id }) => external_id)).toEqual(['S-1', 'S-4']);
  });

  it('200: 10,000 of which none is well-formed have an answer that can be sent', async () => {
    const { statusCode, body } = await registerSome(Array.from({ length: 10_000 }, () => ({ a: 1, b: 2, c: 3, d: 4, external_id: 'x y' })));
    expect(statusCode).toBe(200);
    expect(body).toMatchObject({ created: 0, refused_count: 10_000 });
    expect(body.refused).toHaveLength(1_000);
    expect(JSON.stringify(body).length).toBeLessThan(5 * 1024 * 1024);
  });

  it('400: the envelope is wrong', async () => {
    expect(await registerSome({})).toMatchObject({ statusCode: 400 });
    expect(await registerSome([])).toMatchObject({ statusCode: 400 });
  });
});

describe('PUT /v1/devices', () => {
  it('200: stores new devices with the channel that follows from their generation', async () => {
    const answer = await register([
      { kind: 'scooter', external_id: 'S-1', version: 1 },
      { kind: 'scooter', external_id: 'S-2', version: 2, channel: 'iot' },
      { kind: 'scooter', external_id: 'S-3', version: null },
      { kind: 'scooter', external_id: 'S-4' },
      { kind: 'cabinet', external_id: 'C-1' },
    ]);
    expect(answer).toMatchObject({ statusCode: 200, body: { created: 5, changed: 0, unchanged: 0 } });
    const created_dt = startOfTime;
    expect(await storedDevices()).toEqual([
      { kind: 'cabinet', external_id: 'C-1', version: null, channel: 'iot', created_dt },
      { kind: 'scooter', external_id: 'S-1', version: 1, channel: 'telematics', created_dt },
      { kind: 'scooter', external_id: 'S-2', version: 2, channel: 'iot', created_dt },
      { kind: 'scooter', external_id: 'S-3', version: null, channel: 'iot', created_dt },
      { kind: 'scooter', external_id: 'S-4', version: null, channel: 'iot', created_dt },
    ]);
  });

  it('200: changes what differs, keeps the rest, and counts each; ids and age of a device stay', async () => {
    await register([
      { kind: 'scooter', external_id: 'S-1', version: 1 },
      { kind: 'scooter', external_id: 'S-2', version: 2 },
    ]);
    const before = await db.selectFrom('devices').select(['id', 'external_id', 'created_dt']).orderBy('external_id').execute();
    clock.advance(60);
    const answer = await register([
      { kind: 'scooter', external_id: 'S-1', version: 2 },
      { kind: 'scooter', external_id: 'S-2', version: 2 },
      { kind: 'scooter', external_id: 'S-3', version: 2 },
    ]);
    expect(answer.body).toEqual({ created: 1, changed: 1, unchanged: 1 });
    const after = await db.selectFrom('devices').select(['id', 'external_id', 'created_dt']).orderBy('external_id').execute();
    expect(after.slice(0, 2)).toEqual(before);
  });

  it('200: the same call again changes nothing, not even the rows’ places on disk', async () => {
    const devices = [{ kind: 'scooter', external_id: 'S-1', version: 1 }];
    await register(devices);
    const place = () => sql`SELECT ctid::text, xmin::text FROM devices`.execute(db).then(({ rows }) => rows);
    const before = await place();
    expect((await register(devices)).body).toEqual({ created: 0, changed: 0, unchanged: 1 });
    expect(await place()).toEqual(before);
  });

  it('200: a scooter and a cabinet may have the same id, and ids differ in case', async () => {
    const answer = await register([
      { kind: 'scooter', external_id: 'x-1', version: 1 },
      { kind: 'cabinet', external_id: 'x-1' },
      { kind: 'scooter', external_id: 'X-1', version: 1 },
    ]);
    expect(answer.body).toEqual({ created: 3, changed: 0, unchanged: 0 });
  });

  it('200: 10,000 devices with the longest ids in one call and one statement that adds them', async () => {
    const devices = Array.from({ length: 10_000 }, (_, i) => ({
      kind: 'scooter',
      external_id: String(i).padStart(128, 'S'),
      version: 2,
      channel: 'telematics',
    }));
    expect(await register(devices)).toMatchObject({ statusCode: 200, body: { created: 10_000, changed: 0, unchanged: 0 } });
    // Which zones there are not is not asked where none is named. Begin, wait for its turn, add, lock what differs, audit, wake open updates,
    // commit.
    expect(takeStatements()).toHaveLength(7);
    expect(await register(devices)).toMatchObject({ statusCode: 200, body: { created: 0, changed: 0, unchanged: 10_000 } });
  });

  it('200: calls about the same devices at the same moment, in opposite orders, all succeed and create each device once', async () => {
    const devices = Array.from({ length: 300 }, (_, i) => ({ kind: 'scooter', external_id: `S-${i}`, version: 1 }));
    // As many as there are connections: who waits for one too long gets 503.
    const calls = Array.from({ length: 10 }, (_, i) =>
      register((i % 2 ? devices : devices.toReversed()).map((device) => ({ ...device, version: (i % 2) + 1 }))),
    );
    const answers = await Promise.all(calls);
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
    const created = answers.map(({ body }) => (body as unknown as { created: number }).created);
    expect(created.reduce((sum, n) => sum + n, 0)).toBe(300);
    const stored = await storedDevices();
    expect(stored).toHaveLength(300);
    // Each call is all or nothing: the last one's version is everybody's.
    expect(new Set(stored.map(({ version }) => version)).size).toBe(1);
  });

  it('200: devices that are known use up no ids, changed or not; each new one takes one', async () => {
    const lastId = async () => {
      const { rows } = await sql<{ last: number }>`SELECT last_value AS last FROM devices_id_seq`.execute(db);
      return rows[0]?.last ?? 0;
    };
    const devices = Array.from({ length: 1_000 }, (_, i) => ({ kind: 'scooter', external_id: `S-${i}`, version: 1 }));
    await register(devices);
    const before = await lastId();
    for (const version of [1, 1, 2, 2, 1]) await register(devices.map((device) => ({ ...device, version })));
    expect(await lastId()).toBe(before);
    const more = [...devices, { kind: 'scooter', external_id: 'S-new', version: 1 }, { kind: 'cabinet', external_id: 'S-1' }];
    expect((await register(more)).body).toEqual({ created: 2, changed: 0, unchanged: 1_000 });
    expect(await lastId()).toBe(before + 2);
    await addDevices(
      db,
      devices.map((device) => NewDevice.parse(device)),
      clock.now(),
    );
    expect(await lastId()).toBe(before + 2);
    expect(await addDevices(db, [NewDevice.parse(devices[0]), NewDevice.parse({ kind: 'cabinet', external_id: 'C-9' })], clock.now())).toBe(
      1,
    );
    expect(await lastId()).toBe(before + 3);
  });

  it('200: of two calls that add the same device at one moment, the later one waits and then changes it', async () => {
    const first = await db.startTransaction().execute();
    const scooter = (version: 1 | 2) => [{ kind: 'scooter', external_id: 'S-1', version, channel: 'telematics' }] as const;
    expect(await upsertDevices(first, scooter(1), clock.now())).toEqual({ created: 1, changed: 0 });
    const later = register([...scooter(2)]);
    await untilWaiting(db, 1);
    await first.commit().execute();
    expect(await later).toMatchObject({ statusCode: 200, body: { created: 0, changed: 1, unchanged: 0 } });
    expect(await storedDevices()).toMatchObject([{ external_id: 'S-1', version: 2 }]);
  });

  it('200: calls that change known devices and add the same new ones, in every order, wait for each other and in no circle', async () => {
    const devices = Array.from({ length: 200 }, (_, i) => ({ kind: 'scooter', external_id: `S-${i}`, version: 1 }));
    for (let round = 0; round < 5; round += 1) {
      await sql`TRUNCATE devices CASCADE`.execute(db);
      await register(devices.filter((_, i) => i % 2 === 0));
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          register((i % 2 ? devices : devices.toReversed()).map((device) => ({ ...device, version: (i % 2) + 1 }))),
        ),
      );
      expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
      const created = answers.map(({ body }) => (body as unknown as { created: number }).created);
      expect(created.reduce((sum, n) => sum + n, 0)).toBe(100);
      expect(await storedDevices()).toHaveLength(200);
    }
  });

  it('400: 10,001 devices, and none of them is stored', async () => {
    const devices = Array.from({ length: 10_001 }, (_, i) => ({ kind: 'scooter', external_id: `S-${i}`, version: 1 }));
    const answer = await register(devices);
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid', errors: [{ in: 'body', path: 'devices' }] } });
    expect(takeStatements()).toEqual([]);
  });

  it('400: no devices at all', async () => {
    expect(await register([])).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'devices' }] } });
  });

  it('400: a device that comes twice is named, and nothing is stored', async () => {
    const answer = await register([
      { kind: 'scooter', external_id: 'S-1', version: 1 },
      { kind: 'scooter', external_id: 'S-2', version: 1 },
      { kind: 'scooter', external_id: 'S-1', version: 2 },
      { kind: 'cabinet', external_id: 'S-1' },
      { kind: 'scooter', external_id: 'S-2', version: 1 },
    ]);
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
    expect(answer.body.errors.map(({ path }) => path)).toEqual(['devices.2.external_id', 'devices.4.external_id']);
    expect(await storedDevices()).toEqual([]);
  });

  it('400: names every wrong field of every device, and stores none, not even the right ones', async () => {
    const answer = await register([
      { kind: 'scooter', external_id: 'S-1', version: 1 },
      { kind: 'bicycle', external_id: 'S-2', version: 1 },
      { kind: 'scooter', external_id: '', version: 3 },
      { kind: 'scooter', external_id: 'x'.repeat(129), version: '1' },
      { kind: 'scooter', external_id: 5, channel: 'pigeon', colour: 'red' },
      { kind: 'cabinet', external_id: 'C-1', version: 2 },
      { external_id: 'S-7' },
      'S-8',
      null,
    ]);
    expect(answer.statusCode).toBe(400);
    expect([...new Set(answer.body.errors.map(({ path }) => path))].sort()).toEqual([
      'devices.1.kind',
      'devices.2.external_id',
      'devices.2.version',
      'devices.3.external_id',
      'devices.3.version',
      'devices.4.channel',
      'devices.4.colour',
      'devices.4.external_id',
      'devices.5.version',
      'devices.6.kind',
      'devices.7',
      'devices.8',
    ]);
    expect(await storedDevices()).toEqual([]);
  });

  it.each([
    "'; DROP TABLE devices; --",
    'S-1\n',
    'S 1',
    'S-1\u0000',
    'S-1,S-2',
    '{S-1}',
    '"S-1"',
    'S\\1',
    'S/1',
    'Ж-1',
    '🛴',
    '\ud800',
    '%00',
  ])('400: %j is no external id', async (external_id) => {
    const answer = await register([{ kind: 'scooter', external_id, version: 1 }]);
    expect(answer).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'devices.0.external_id' }] } });
    expect(await storedDevices()).toEqual([]);
  });

  it('200: texts that mean something to PostgreSQL are stored as they are', async () => {
    const ids = ['NULL', 'null', 'true', '1', '-', '...', '~', 'S_1.a:b~c-d'];
    await register(ids.map((external_id) => ({ kind: 'scooter', external_id, version: 1 })));
    expect((await storedDevices()).map(({ external_id }) => external_id).sort()).toEqual([...ids].sort());
  });

  it('401 and 403: without a token, and with one that may only read', async () => {
    const devices = [{ kind: 'scooter', external_id: 'S-1', version: 1 }];
    expect(await register(devices, {})).toMatchObject({ statusCode: 401 });
    expect(await register(devices, { token: await identity.token({ scopes: ['read', 'devices:report'] }) })).toMatchObject({
      statusCode: 403,
    });
    expect(await storedDevices()).toEqual([]);
  });

  it('413: a body over 3 MiB', async () => {
    const answer = await register([{ kind: 'scooter', external_id: 'x'.repeat(3 * 1024 * 1024), version: 1 }]);
    expect(answer).toMatchObject({ statusCode: 413, body: { code: 'request.too_large' } });
  });

  it('415: a body in another format', async () => {
    const answer = await call(handler, {
      method: 'PUT',
      path: '/v1/devices',
      token,
      headers: { 'Content-Type': 'text/csv' },
      body: 'scooter,S-1,1',
    });
    expect(answer).toMatchObject({ statusCode: 415 });
  });

  it('503: the database is down, and nothing is half stored', async () => {
    const down = createDatabase({ url: `postgres://x:x@127.0.0.1:${await freePort()}/x`, maxConnections: 1 });
    const answer = await call(
      createHandler({ db: down, advances: new InMemoryQueue<AdvanceMessage>(), authenticate, log: silentLog, now: clock.now }),
      {
        method: 'PUT',
        path: '/v1/devices',
        token,
        body: { devices: [{ kind: 'scooter', external_id: 'S-1', version: 1 }] },
      },
    );
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    expect(answer.headers['retry-after']).toBe('2');
    await down.destroy();
  });
});
