import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import * as mini from 'zod/mini';
import { DomainError, type ErrorCode } from '../../../lib/errors.ts';
import { endpoint, json, operation } from '../../../lib/http/endpoint.ts';
import { Problem } from '../../../lib/http/problem.ts';
import { defineRoute } from '../../../lib/http/route.ts';
import { createIdentity, createRecordingLog, invoke } from '../../support/http.ts';

const identity = await createIdentity();
const token = await identity.token();

const route = defineRoute({
  operationId: 'testRoute',
  method: 'GET',
  path: '/v1/things',
  tag: 'Service',
  scope: 'read',
  summary: 'Does as the test says',
  query: mini.object({ secret: mini.optional(mini.string()) }),
  responses: { 200: { description: 'Done', body: z.looseObject({}) } },
});

const setup = (work: () => unknown) => {
  const log = createRecordingLog();
  const handler = endpoint(operation({ authenticate: identity.authenticate, log }, route, async () => json(200, (await work()) ?? {})));
  const send = (headers: Record<string, string> = {}) => invoke(handler, { method: 'GET', path: '/v1/things', token, headers });
  return { log, handler, send };
};

const failing = (error: unknown) =>
  setup(() => {
    throw error;
  });

describe('an unknown error', () => {
  const secret = 'postgres://admin:hunter2@db.internal/fleet';
  const circular: Record<string, unknown> = { secret };
  circular['self'] = circular;

  it.each<[string, unknown]>([
    ['an Error', new Error(secret)],
    ['an Error that brings a status', Object.assign(new Error(secret), { statusCode: 404, expose: true })],
    ['an Error that brings the status of a malformed body', Object.assign(new Error(secret), { statusCode: 422 })],
    ['an Error with a cause', new Error('x', { cause: new Error(secret) })],
    ['a TypeError', new TypeError(secret)],
    ['a text', secret],
    ['undefined', undefined],
    ['null', null],
    ['an object that cannot be JSON', circular],
    ['a DomainError that is no 4xx', new DomainError('internal', 'Something went wrong here', { cause: new Error(secret) })],
  ])('500: %s is answered with a fixed text and logged with its reason', async (_, error) => {
    const { log, send } = failing(error);
    const answer = await send({ 'x-request-id': 'request-0001' });
    expect(answer).toMatchObject({
      statusCode: 500,
      headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'x-request-id': 'request-0001' },
      body: { code: 'internal', title: 'Internal Server Error', request_id: 'request-0001' },
    });
    expect(Object.keys(answer.body).sort()).toEqual(['code', 'detail', 'request_id', 'status', 'title', 'type']);
    expect(JSON.stringify(answer)).not.toMatch(/hunter2|db\.internal|\.ts|stack/);
    expect(log.lines).toHaveLength(2);
    expect(log.lines[0]).toContain("request_id: 'request-0001'");
  });

  it('500: an answer that cannot be written as JSON is one too', async () => {
    expect(await setup(() => circular).send()).toMatchObject({ statusCode: 500, body: { code: 'internal' } });
    expect(await setup(() => ({ n: 1n })).send()).toMatchObject({ statusCode: 500, body: { code: 'internal' } });
  });
});

describe('a problem', () => {
  it.each<[ErrorCode, number]>([
    ['request.malformed', 400],
    ['request.invalid', 400],
    ['hardware_type.unknown', 400],
    ['auth.missing_token', 401],
    ['auth.invalid_token', 401],
    ['auth.insufficient_scope', 403],
    ['route.not_found', 404],
    ['route.method_not_allowed', 405],
    ['firmware.not_found', 404],
    ['device.not_found', 404],
    ['update.not_found', 404],
    ['firmware.exists', 409],
    ['firmware.not_withdrawable', 409],
    ['hardware_type.exists', 409],
    ['request.too_large', 413],
    ['request.unsupported_media_type', 415],
    ['firmware.not_available', 422],
    ['update.nothing_eligible', 422],
    ['update.executions_removed', 422],
    ['update.canceling', 409],
    ['update.idempotency_key_reused', 422],
    ['internal', 500],
    ['auth.keys_unavailable', 503],
    ['database.unavailable', 503],
    ['storage.unavailable', 503],
    ['queue.unavailable', 503],
  ])('%s is answered with %i, as its document says', async (code, status) => {
    const { send } = failing(new DomainError(code, 'For the caller'));
    const answer = await send();
    expect(answer).toMatchObject({
      statusCode: status,
      body: { type: `urn:scooters-updater:problem:${code}`, status, code, detail: 'For the caller' },
    });
    expect(Problem.safeParse(answer.body).error).toBeUndefined();
    expect('retry-after' in answer.headers).toBe(status === 503);
    expect('www-authenticate' in answer.headers).toBe(status === 401 || status === 403);
  });

  it('shows what is meant for the caller, and not the cause', async () => {
    const { log, send } = failing(
      new DomainError('firmware.exists', 'It exists', {
        answer: { firmware_id: 17 },
        cause: new Error('private'),
      }),
    );
    const { body } = await send();
    expect(body).toMatchObject({ firmware_id: 17 });
    expect(JSON.stringify(body)).not.toContain('private');
    expect(log.lines).toHaveLength(1);
  });

  it('503: says the number of seconds that the cause asked for', async () => {
    const { send } = failing(new DomainError('storage.unavailable', 'Not now', { retryAfterSeconds: 17 }));
    expect((await send()).headers['retry-after']).toBe('17');
  });

  it('404: a route that the function does not have', async () => {
    const { handler } = setup(() => ({}));
    for (const [method, path] of [
      ['DELETE', '/v1/things'],
      ['GET', '/v1/thing'],
      ['get', '/v1/things'],
      ['GET', '__proto__'],
    ] as const) {
      const answer = await invoke(handler, { method, path, token, headers: { 'x-request-id': 'request-0001' } });
      expect(answer).toMatchObject({
        statusCode: 404,
        headers: { 'x-request-id': 'request-0001' },
        body: { code: 'route.not_found', request_id: 'request-0001' },
      });
    }
  });
});

describe('the request id', () => {
  it('is the caller’s own when it is harmless, in the answer, the problem and the log', async () => {
    const { log, send } = failing(new DomainError('device.not_found', 'Not here'));
    const answer = await send({ 'X-Request-Id': 'f47ac10b-58cc-4372-a567-0e02b2c3d479' });
    expect(answer.headers['x-request-id']).toBe('f47ac10b-58cc-4372-a567-0e02b2c3d479');
    expect(answer.body['request_id']).toBe('f47ac10b-58cc-4372-a567-0e02b2c3d479');
    expect(log.lines.join()).toContain('f47ac10b-58cc-4372-a567-0e02b2c3d479');
  });

  it.each([
    'short',
    'x'.repeat(65),
    'with space in it',
    'line\r\nbreak-1234',
    '<script>alert(1)</script>',
    '%24%7Bjndi:ldap://x%7D',
    '../../etc/passwd',
    'ключ-ключ-ключ',
  ])('is API Gateway’s when the caller’s is %j', async (given) => {
    const { log, send } = setup(() => ({}));
    const answer = await send({ 'X-Request-Id': given });
    expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(log.lines.join()).not.toContain(given);
  });
});

describe('the log', () => {
  it('has one line per request with route, status and duration, and no token, body or query', async () => {
    const { log, handler } = setup(() => ({ upload: { url: 'https://s3.test/x?X-Amz-Signature=5ec2e7' } }));
    await invoke(handler, { method: 'GET', path: '/v1/things', token, query: { secret: 'hunter2' } });
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).toMatch(/level: 'info'.*message: 'request'.*route: 'GET \/v1\/things'.*status: 200.*duration_ms: \d+/);
    for (const secret of [token, token.slice(-20), 'hunter2', '5ec2e7', 'Signature']) expect(log.lines.join()).not.toContain(secret);
  });

  it('has the reason of a failure, and no token', async () => {
    const { log, send } = failing(new DomainError('database.unavailable', 'Not now', { cause: new Error('connection refused') }));
    await send();
    expect(log.lines[0]).toMatch(/level: 'error'.*code: 'database\.unavailable'.*connection refused/s);
    expect(log.lines.join()).not.toContain(token.split('.')[2]);
  });
});
