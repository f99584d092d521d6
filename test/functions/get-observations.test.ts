import { describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/get-observations/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import type { Page } from '../../lib/http/page.ts';
import type { Observation, ObservationWithChanges } from '../../lib/observation/observation.ts';
import { BackendUnavailable } from '../../lib/ports/backend.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, startOfTime } from '../support/fixtures.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';
import { createObservationWorld, inBackend } from '../support/observations.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const reader = await token({ scopes: ['read'] });
const now = () => startOfTime;
const handler = createHandler({ db, authenticate, log: createRecordingLog(), now });

const get = (id: number | string, query: Record<string, string> = {}, more: object = {}) =>
  call<ObservationWithChanges>(handler, {
    ...{ method: 'GET', path: '/v1/observations/{id}', pathParameters: { id: String(id) }, query, token: reader },
    ...more,
  });
const list = (query: Record<string, string> = {}, more: object = {}) =>
  call<Page<Observation>>(handler, { method: 'GET', path: '/v1/observations', query, token: reader, ...more });

describe('GET /v1/observations/{id}', () => {
  it('200: tells how far it is and what it changed, page by page, each change once, while it goes on', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 5);
    await confirmUpdate(
      world.deps,
      external_ids.map((external_id) => confirmation({ external_id, version: 'before', occurred_dt: new Date(startOfTime.getTime() - 1) })),
    );
    world.backend.fleet.push(...external_ids.map((external_id) => inBackend(external_id, { vega_mcu: 'after' })));
    const { id } = await world.request({ targets: { external_ids }, maximum_per_minute: 3 });
    await world.deliver(world.next());

    const first = await get(id, { limit: '2' });
    expect(first).toMatchObject({ statusCode: 200, body: { status: 'IN_PROGRESS', progress: 0.6, devices_asked: 3, reports_stored: 3 } });
    await world.run();
    const second = await get(id, { limit: '2', cursor: first.body.changes.next_cursor ?? '' });
    expect(second).toMatchObject({ statusCode: 200, body: { status: 'COMPLETED', progress: 1, devices_asked: 5, due_dt: null } });
    const third = await get(id, { limit: '2', cursor: second.body.changes.next_cursor ?? '' });
    expect(third.body.changes.next_cursor).toBeNull();
    const changes = [first, second, third].flatMap(({ body }) => body.changes.items);
    expect(changes).toEqual(
      external_ids.map((external_id) => ({
        ...{ kind: 'scooter', external_id, hardware_type: 'vega_mcu', from_version: 'before', to_version: 'after' },
        observed_dt: '2026-11-24T08:00:00.000Z',
      })),
    );
  });

  it('200: shows why it waits while the backend is down', async () => {
    const world = createObservationWorld(db);
    const { id } = await world.request({ targets: { external_ids: await givenDevices(db, 1) } });
    world.backend.failure = new BackendUnavailable('backend answered 503');
    await world.deliver(world.next());
    expect((await get(id)).body).toMatchObject({
      ...{ status: 'IN_PROGRESS', failures: 1, last_error: 'backend answered 503', last_error_dt: '2026-11-24T08:00:01.000Z' },
      ...{ due_dt: '2026-11-24T08:00:06.000Z', changes: { items: [], next_cursor: null } },
    });
  });

  it.each([
    ['path id', '0', {}],
    ['query cursor', '1', { cursor: 'bogus' }],
    ['query limit', '1', { limit: '501' }],
    ['query surprise', '1', { surprise: '1' }],
  ])('400: names %s', async (field, id, query) => {
    await createObservationWorld(db).request({ targets: { filter: {} } });
    const { id: known } = (await list()).body.items[0] ?? { id: 0 };
    const answer = await call<{ errors: { in: string; path: string }[] }>(handler, {
      ...{ method: 'GET', path: '/v1/observations/{id}', pathParameters: { id: id === '0' ? id : String(known) }, query, token: reader },
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.body.errors.map((error) => `${error.in} ${error.path}`)).toEqual([field]);
  });

  it('401, 403: only with the scope read', async () => {
    expect((await get(1, {}, { token: undefined })).statusCode).toBe(401);
    const others = await token({ scopes: ['firmware:write', 'devices:write', 'updates:write', 'devices:report'] });
    expect((await get(1, {}, { token: others })).statusCode).toBe(403);
  });

  it('404: for an id that nobody has', async () => {
    expect(await get(2_147_483_647)).toMatchObject({ statusCode: 404, body: { code: 'observation.not_found' } });
  });

  it('503: while the database is down', async () => {
    const down = createDatabase({ url: 'postgres://user:hunter2@127.0.0.1:9/none', maxConnections: 1 });
    const request = { method: 'GET', path: '/v1/observations/{id}', pathParameters: { id: '1' }, token: reader };
    const answer = await call(createHandler({ db: down, authenticate, log: createRecordingLog(), now }), request);
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    await down.destroy();
  });
});

describe('GET /v1/observations', () => {
  it('200: the latest first, each once, by status', async () => {
    const world = createObservationWorld(db);
    const ids: number[] = [];
    for (let n = 0; n < 3; n += 1) ids.unshift((await world.request({ targets: { filter: {} } })).id);
    const first = await list({ limit: '2' });
    expect(first).toMatchObject({ statusCode: 200, body: { items: [{ id: ids[0] }, { id: ids[1] }] } });
    const second = await list({ limit: '2', cursor: first.body.next_cursor ?? '' });
    expect(second.body.items[0]).toMatchObject({ id: ids[2], status: 'IN_PROGRESS', filter: {}, progress: 0 });
    await world.run();
    const completed = await list({ status: 'COMPLETED', limit: '3' });
    expect(completed.body.items.map(({ id }) => id)).toEqual(ids);
    expect((await list({ status: 'FAILED' })).body).toEqual({ items: [], next_cursor: null });
  });

  it.each([{ status: 'completed' }, { cursor: 'bogus' }, { limit: '0' }])('400: refuses %j', async (query) => {
    expect((await list(query)).statusCode).toBe(400);
  });

  it('401, 403: only with the scope read', async () => {
    expect((await list({}, { token: undefined })).statusCode).toBe(401);
    expect((await list({}, { token: await token({ scopes: ['devices:write'] }) })).statusCode).toBe(403);
  });
});
