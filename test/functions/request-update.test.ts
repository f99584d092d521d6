import { beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../dev/stack/free-port.ts';
import { createHandler } from '../../functions/request-update/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import type { Update } from '../../lib/update/update.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, givenFirmware, silentLog } from '../support/fixtures.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';
import { createUpdateService, type UpdateService } from '../support/update-service.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const { authenticate } = identity;
const token = await identity.token({ scopes: ['updates:write'], subject: 'tariff-editor' });

let service: UpdateService;
let firmware_id: number;
let external_ids: string[];
beforeEach(async () => {
  service = createUpdateService(db);
  firmware_id = (await givenFirmware(db)).id;
  external_ids = await givenDevices(db, 3);
});

type Answer = Update & { code: string; errors: { in: string; path: string }[]; not_eligible: Record<string, number>; update_id: number };
const post = (body: unknown, request: { headers?: Record<string, string>; token?: string } = { token }, deps: object = {}) =>
  call<Answer>(createHandler({ ...service.deps, authenticate, log: silentLog, ...deps }), {
    method: 'POST',
    path: '/v1/updates',
    body,
    ...request,
  });
const valid = () => ({ firmware_id, targets: { external_ids } });
const countUpdates = async () => (await db.selectFrom('updates').select('id').execute()).length;

describe('POST /v1/updates', () => {
  it('202: the update is stored and its message sent; the address of the update comes along', async () => {
    const answer = await post({ ...valid(), comment: 'spring', rollout: { maximum_per_minute: 600, maximum_in_progress: 50 } });
    expect(answer.statusCode).toBe(202);
    expect(answer.headers['location']).toBe(`/v1/updates/${answer.body.id}`);
    expect(answer.body).toMatchObject({
      firmware_id,
      hardware_type: 'vega_mcu',
      status: 'SCHEDULED',
      counts: { QUEUED: 3, IN_PROGRESS: 0, SUCCEEDED: 0 },
      not_eligible: {},
      progress: 0,
      rollout: { maximum_per_minute: 600, maximum_in_progress: 50 },
      comment: 'spring',
      created_by: 'tariff-editor',
      created_dt: '2026-11-24T08:00:00.000Z',
      started_dt: null,
    });
    expect(service.deps.advances.sent).toEqual([{ update_id: answer.body.id, step: 0, created_dt: '2026-11-24T08:00:00.000Z' }]);
    expect(await service.executions(answer.body.id)).toHaveLength(3);
  });

  it('202: 10,000 devices by name, as long as names may be, in one call', async () => {
    const long = Array.from({ length: 10_000 }, (_, i) => `${'x'.repeat(120)}${i}`);
    const answer = await post({ firmware_id, targets: { external_ids: [...long.slice(1), external_ids[0]] } });
    expect(answer).toMatchObject({ statusCode: 202, body: { counts: { QUEUED: 1 }, not_eligible: { UNKNOWN_DEVICE: 9_999 } } });
  });

  it('202: 50 times at once with one key: the same answer to all', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => post(valid(), { token, headers: { 'Idempotency-Key': `fifty-${firmware_id}` } })),
    );
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([202]));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    // Each repetition sends the message of the one update again, which may be lost; it does no harm.
    expect(new Set(service.deps.advances.sent.map((message) => JSON.stringify(message))).size).toBe(1);
  });

  it('400: names every wrong field, of the body and of the headers, at once; nothing is stored', async () => {
    const before = await countUpdates();
    const answer = await post(
      { firmware_id: '1', rollout: { maximum_per_minute: 0, per_hour: 1 }, allow_downgrade: 'no', surprise: true },
      { token, headers: { 'Idempotency-Key': 'has spaces' } },
    );
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
    expect(answer.body.errors.map(({ in: part, path }) => `${part} ${path}`).toSorted()).toEqual([
      'body allow_downgrade',
      'body firmware_id',
      'body rollout.maximum_per_minute',
      'body rollout.per_hour',
      'body surprise',
      'body targets',
      'header idempotency-key',
    ]);
    expect(await countUpdates()).toBe(before);
  });

  it.each([
    ['empty', ''],
    ['256 characters', 'k'.repeat(256)],
    ['not ASCII', 'ключ'],
    ['a control character', 'a\u0000b'],
  ])('400: an Idempotency-Key that is %s', async (_, key) => {
    const answer = await post(valid(), { token, headers: { 'Idempotency-Key': key } });
    expect(answer).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'header', path: 'idempotency-key' }] } });
  });

  it.each([
    ['no JSON', '{'],
    ['an array', '[]'],
    ['null', 'null'],
    ['nothing', ''],
  ])('400: a body that is %s', async (_, body) => {
    expect(await post(body)).toMatchObject({ statusCode: 400 });
  });

  it('401: without a token', async () => {
    expect(await post(valid(), {})).toMatchObject({ statusCode: 401, body: { code: 'auth.missing_token' } });
    expect(service.deps.advances.sent).toEqual([]);
  });

  it('403: with every other scope', async () => {
    const other = await identity.token({ scopes: ['read', 'firmware:write', 'devices:write', 'devices:report'] });
    expect(await post(valid(), { token: other })).toMatchObject({ statusCode: 403, body: { code: 'auth.insufficient_scope' } });
    expect(service.deps.advances.sent).toEqual([]);
  });

  it('413: a body above the limit', async () => {
    expect(await post(JSON.stringify({ ...valid(), comment: 'x'.repeat(1_600_000) }))).toMatchObject({ statusCode: 413 });
  });

  it('415: a body that says it is something else', async () => {
    const answer = await post(JSON.stringify(valid()), { token, headers: { 'Content-Type': 'text/plain' } });
    expect(answer).toMatchObject({ statusCode: 415 });
  });

  it('422: a firmware that does not exist or is not available', async () => {
    expect(await post({ ...valid(), firmware_id: 2_000_000_000 })).toMatchObject({
      statusCode: 422,
      body: { code: 'firmware.not_available', errors: [{ in: 'body', path: 'firmware_id' }] },
    });
    await db.updateTable('firmwares').set({ status: 'withdrawn', reason: 'bricks' }).where('id', '=', firmware_id).execute();
    expect(await post(valid())).toMatchObject({ statusCode: 422, body: { firmware_status: 'withdrawn' } });
  });

  it('422: no device can be updated, with the reasons, and nothing is sent', async () => {
    await post(valid());
    service.deps.advances.take();
    const answer = await post({ firmware_id, targets: { external_ids: [...external_ids, 'nobody'] } });
    expect(answer).toMatchObject({
      statusCode: 422,
      body: { code: 'update.nothing_eligible', not_eligible: { UPDATE_IN_FLIGHT: 3, UNKNOWN_DEVICE: 1 } },
    });
    expect(service.deps.advances.sent).toEqual([]);
  });

  it('422: a key that was used for another body names the update it belongs to', async () => {
    const headers = { 'Idempotency-Key': `reused-${firmware_id}` };
    const first = await post(valid(), { token, headers });
    expect(await post({ ...valid(), comment: 'other' }, { token, headers })).toMatchObject({
      statusCode: 422,
      body: { code: 'update.idempotency_key_reused', update_id: first.body.id },
    });
  });

  it('503: the queue does not take the message: nothing is stored, and the same request later is carried out', async () => {
    const before = await countUpdates();
    const headers = { 'Idempotency-Key': `queue-down-${firmware_id}` };
    service.deps.advances.failures = 1;
    const answer = await post(valid(), { token, headers });
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'queue.unavailable' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(await countUpdates()).toBe(before);
    expect(await post(valid(), { token, headers })).toMatchObject({ statusCode: 202, body: { counts: { QUEUED: 3 } } });
  });

  it('503: the database is down: nothing is sent', async () => {
    const down = createDatabase({ url: `postgres://user:secret@127.0.0.1:${await freePort()}/x`, maxConnections: 1 });
    const log = createRecordingLog();
    const answer = await post(valid(), { token }, { db: down, log });
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    expect(service.deps.advances.sent).toEqual([]);
    expect(log.lines.join()).not.toContain(token);
    await down.destroy();
  });

  it('500: an error nobody foresaw tells the caller nothing of itself, and is in the log', async () => {
    const log = createRecordingLog();
    const advances = {
      send: async () => {
        throw new Error('secret detail');
      },
    };
    const answer = await post(valid(), { token }, { advances, log });
    expect(answer).toMatchObject({ statusCode: 500, body: { code: 'internal' } });
    expect(JSON.stringify(answer)).not.toContain('secret detail');
    expect(log.lines.join()).toContain('secret detail');
  });
});
