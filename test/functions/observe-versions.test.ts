import { describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/observe-versions/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices } from '../support/fixtures.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';
import { createObservationWorld } from '../support/observations.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const writer = await token({ scopes: ['devices:write'], subject: 'engineer' });

const setup = () => {
  const world = createObservationWorld(db);
  const deps = { ...world.deps, authenticate, log: createRecordingLog() };
  const post = (body: unknown, more: object = {}) =>
    call(createHandler(deps), { method: 'POST', path: '/v1/observations', body, token: writer, ...more });
  return { world, deps, post };
};

describe('POST /v1/observations', () => {
  it('202: promises to ask the devices, and says where to look', async () => {
    const { world, post } = setup();
    const external_ids = await givenDevices(db, 2);
    const answer = await post(
      { targets: { external_ids }, maximum_per_minute: 600, comment: 'after the recall' },
      { headers: { 'X-Request-Id': 'request-of-admin' } },
    );
    const { id } = answer.body as { id: number };
    expect(answer).toMatchObject({ statusCode: 202, headers: { location: `/v1/observations/${id}` } });
    expect(answer.body).toEqual({
      ...{ id, status: 'IN_PROGRESS', filter: null, add_unknown: false, maximum_per_minute: 600, progress: 0 },
      ...{ devices_total: 2, devices_asked: 0, devices_answered: 0, devices_unknown: 0, devices_refused: 0, devices_added: 0 },
      ...{ devices_not_registered: 0, reports_stored: 0, reports_unchanged: 0, reports_outdated: 0, reports_refused: 0 },
      ...{
        failures: 0,
        last_error: null,
        last_error_dt: null,
        due_dt: '2026-11-24T08:00:00.000Z',
        is_late: false,
        comment: 'after the recall',
      },
      ...{ created_by: 'engineer', request_id: 'request-of-admin', created_dt: '2026-11-24T08:00:00.000Z' },
      ...{ started_dt: null, finished_dt: null },
    });
    await world.run();
    expect(world.backend.questions).toMatchObject([{ external_ids, call: { requestId: 'request-of-admin' } }]);
  });

  it('202: takes 10,000 devices with the longest ids in one call', async () => {
    const { post } = setup();
    const external_ids = Array.from({ length: 10_000 }, (_, n) => String(n).padStart(128, 'x'));
    expect(await post({ targets: { external_ids } })).toMatchObject({ statusCode: 202, body: { devices_total: 10_000 } });
  });

  it('202: the same again under one Idempotency-Key; 422: another request under it', async () => {
    const { world, post } = setup();
    const headers = { 'Idempotency-Key': 'key-of-admin' };
    const first = await post({ targets: { filter: {} } }, { headers });
    expect(await post({ targets: { filter: {} } }, { headers })).toMatchObject({ statusCode: 202, body: first.body });
    expect(await post({ targets: { filter: { kind: 'cabinet' } } }, { headers })).toMatchObject({
      statusCode: 422,
      body: {
        code: 'observation.idempotency_key_reused',
        observation_id: (first.body as { id: number }).id,
        errors: [{ in: 'header', path: 'idempotency-key' }],
      },
    });
    // The first, and the same once more in case that it was lost: of two steps the later one finds its work done.
    const { id } = first.body as { id: number };
    expect(world.observations.waiting.map(({ body }) => body)).toMatchObject([
      { observation_id: id, step: 0 },
      { observation_id: id, step: 0 },
    ]);
  });

  it.each([
    ['body targets', {}],
    ['body targets.filter.running', { targets: { filter: { running: { hardware_type: 'vega_mcu', version: '1' } } }, add_unknown: true }],
    ['body maximum_per_minute', { targets: { filter: {} }, maximum_per_minute: 0 }],
    ['body surprise', { targets: { filter: {} }, surprise: true }],
    ['header idempotency-key', { targets: { filter: {} } }, { headers: { 'Idempotency-Key': 'with space' } }],
  ])('400: names %s, and begins nothing', async (field, body, more: object = {}) => {
    const { world, post } = setup();
    const answer = await post(body, more);
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
    const { errors } = answer.body as { errors: { in: string; path: string }[] };
    expect(errors.map((error) => `${error.in} ${error.path}`)).toEqual([field]);
    expect(world.observations.waiting).toEqual([]);
  });

  it('401, 403: only with the scope devices:write', async () => {
    const { world, post } = setup();
    expect((await post({ targets: { filter: {} } }, { token: undefined })).statusCode).toBe(401);
    const others = await token({ scopes: ['read', 'firmware:write', 'updates:write', 'devices:report'] });
    expect((await post({ targets: { filter: {} } }, { token: others })).statusCode).toBe(403);
    expect(world.observations.waiting).toEqual([]);
  });

  it('413: a body that no 10,000 devices fill', async () => {
    const { post } = setup();
    expect((await post({ comment: 'x'.repeat(1_600_000) })).statusCode).toBe(413);
  });

  it('415: another content type', async () => {
    const { post } = setup();
    expect((await post('x', { headers: { 'Content-Type': 'text/plain' } })).statusCode).toBe(415);
  });

  it('503: when the queue does not take the message, and nothing is begun', async () => {
    const { world, post } = setup();
    world.observations.failures = 1;
    const before = await db.selectFrom('observations').select('id').execute();
    expect(await post({ targets: { filter: {} } })).toMatchObject({ statusCode: 503, body: { code: 'queue.unavailable' } });
    expect(await db.selectFrom('observations').select('id').execute()).toEqual(before);
  });

  it('503: while the database is down, and no message is sent', async () => {
    const { world, deps } = setup();
    const down = createDatabase({ url: 'postgres://user:hunter2@127.0.0.1:9/none', maxConnections: 1 });
    const request = { method: 'POST', path: '/v1/observations', body: { targets: { filter: {} } }, token: writer };
    expect(await call(createHandler({ ...deps, db: down }), request)).toMatchObject({
      statusCode: 503,
      body: { code: 'database.unavailable' },
    });
    expect(world.observations.waiting).toEqual([]);
    await down.destroy();
  });
});
