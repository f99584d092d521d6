import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { endpoint, json, operation } from '../../../lib/http/endpoint.ts';
import { PageQuery } from '../../../lib/http/page.ts';
import { IdInPath } from '../../../lib/http/path-parameters.ts';
import { defineRoute } from '../../../lib/http/route.ts';
import { type Call, createIdentity, createRecordingLog, invoke } from '../../support/http.ts';

const identity = await createIdentity();
const token = await identity.token();
const log = createRecordingLog();
const deps = { authenticate: identity.authenticate, log };

const route = defineRoute({
  operationId: 'testRoute',
  method: 'POST',
  path: '/v1/things/{id}',
  tag: 'Service',
  scope: 'read',
  summary: 'A route with every kind of input',
  pathParameters: IdInPath,
  query: z.strictObject({ colour: z.optional(z.enum(['red', 'blue'])), ...PageQuery }),
  headers: z.object({
    'idempotency-key': z.optional(z.string().check(z.regex(/^[\x21-\x7e]{1,255}$/, 'must have 1 to 255 visible ASCII characters'))),
  }),
  body: z.strictObject({
    name: z.string(),
    parts: z._default(z.array(z.strictObject({ size: z.int().check(z.minimum(1)) })), []),
  }),
  maximumBodyBytes: 1_000,
  responses: { 200: { description: 'What came in', body: z.looseObject({}) } },
});

/** Answers the request as the work would see it. */
const echo = endpoint(
  operation(deps, route, async ({ path, query, headers, body }) => json(200, { path, query, key: headers['idempotency-key'], body })),
);
const send = (request: Partial<Call>) =>
  invoke<{ code: string; detail: string; errors: { in: string; path: string; message: string }[] }>(echo, {
    method: 'POST',
    path: '/v1/things/{id}',
    pathParameters: { id: '7' },
    body: { name: 'x' },
    token,
    ...request,
  });
const wrongFields = ({ body }: Awaited<ReturnType<typeof send>>) => body.errors.map((error) => `${error.in} ${error.path}`).sort();

describe('a well-formed request', () => {
  it('arrives with defaults filled in and numbers as numbers', async () => {
    expect(await send({ query: { limit: '10' }, headers: { 'Idempotency-Key': 'abc' } })).toMatchObject({
      statusCode: 200,
      body: { path: { id: 7 }, query: { limit: 10 }, key: 'abc', body: { name: 'x', parts: [] } },
    });
  });

  it('may come base64-encoded, as API Gateway hands on binary media types', async () => {
    const body = Buffer.from(JSON.stringify({ name: 'Überlandfahrt ✓' })).toString('base64');
    expect(await send({ body, isBase64Encoded: true })).toMatchObject({ statusCode: 200, body: { body: { name: 'Überlandfahrt ✓' } } });
  });

  it.each(['application/json; charset=utf-8', 'Application/JSON', 'application/merge-patch+json'])(
    'may say its content type as %s',
    async (contentType) => {
      expect(await send({ headers: { 'content-type': contentType } })).toMatchObject({ statusCode: 200 });
    },
  );

  it('may write the names of its headers in any case', async () => {
    const headers = { 'CONTENT-TYPE': 'application/json', 'IDEMPOTENCY-KEY': 'abc' };
    expect(await send({ headers })).toMatchObject({ statusCode: 200, body: { key: 'abc' } });
  });
});

describe('a body that is not JSON', () => {
  it.each([
    ['cut off', '{"name":"x"'],
    ['empty', ''],
    ['of spaces', '   '],
    ['with something after it', '{"name":"x"} {}'],
    ['in another notation', "{'name': 'x'}"],
    ['with a key that would change every object', '{"name":"x","__proto__":{"scope":"all"}}'],
    ['with a hidden constructor', '{"name":"x","constructor":{"prototype":{"a":1}}}'],
  ])('400: %s', async (_, body) => {
    const answer = await send({ body });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.malformed', detail: 'The body is not well-formed JSON' } });
    expect(answer.headers['content-type']).toBe('application/problem+json');
  });

  it('400: base64 of something else', async () => {
    expect(await send({ body: Buffer.from([0xff, 0xfe, 0x00]).toString('base64'), isBase64Encoded: true })).toMatchObject({
      statusCode: 400,
      body: { code: 'request.malformed' },
    });
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'text/json', ''])(
    '415: a content type of "%s"',
    async (type) => {
      const answer = await send({ headers: { 'Content-Type': type } });
      expect(answer).toMatchObject({ statusCode: 415, body: { code: 'request.unsupported_media_type' } });
    },
  );
});

describe('a request without a part', () => {
  it('415: neither body nor headers beside the token', async () => {
    expect(await send({ body: undefined })).toMatchObject({ statusCode: 415 });
  });

  it('400: no body, though announced', async () => {
    const answer = await send({ body: undefined, headers: { 'Content-Type': 'application/json' } });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid', errors: [{ in: 'body', path: '' }] } });
  });

  it.each(['null', '[]', '"text"', '17', 'true'])('400: a body that is %s instead of an object', async (body) => {
    const answer = await send({ body });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid', errors: [{ in: 'body', path: '' }] } });
  });

  it('401: a stranger is told nothing about the body', async () => {
    for (const body of ['{', '{'.repeat(2_000)]) {
      const answer = await invoke(echo, { method: 'POST', path: '/v1/things/{id}', pathParameters: { id: '7' }, body });
      expect(answer.statusCode).toBe(401);
    }
  });

  it('401: null headers', async () => {
    const answer = await invoke(echo, { method: 'POST', path: '/v1/things/{id}', pathParameters: { id: '7' } });
    expect(answer.statusCode).toBe(401);
  });
});

describe('a body at the limit of its size', () => {
  const bodyOf = (bytes: number, letter = 'x') => {
    const rest = Buffer.byteLength(JSON.stringify({ name: '' }));
    return JSON.stringify({ name: letter.repeat((bytes - rest) / Buffer.byteLength(letter)) });
  };

  it('200: exactly the limit; 413: one byte more, told with the limit', async () => {
    expect(await send({ body: bodyOf(1_000) })).toMatchObject({ statusCode: 200 });
    expect(await send({ body: bodyOf(1_001) })).toMatchObject({
      statusCode: 413,
      body: { code: 'request.too_large', detail: 'The body may have 1000 bytes' },
    });
  });

  it('413: bytes count, not letters', async () => {
    expect(await send({ body: bodyOf(1_001, 'ж') })).toMatchObject({ statusCode: 413 });
  });

  it('200: base64 does not make it smaller; 413: nor larger', async () => {
    const encode = (text: string) => ({ body: Buffer.from(text).toString('base64'), isBase64Encoded: true });
    expect(await send(encode(bodyOf(1_000)))).toMatchObject({ statusCode: 200 });
    expect(await send(encode(bodyOf(1_001)))).toMatchObject({ statusCode: 413 });
  });

  it('413: without reading what it says', async () => {
    expect(await send({ body: '{'.repeat(1_001) })).toMatchObject({ statusCode: 413 });
  });
});

describe('wrong fields', () => {
  it('400: names every one of them, in path, query, headers and body at once', async () => {
    const answer = await send({
      pathParameters: { id: 'seven' },
      query: { limit: '0', colour: 'green', unknown: '1' },
      headers: { 'Idempotency-Key': 'with space' },
      body: { name: 5, parts: [{ size: 1 }, { size: 0 }, { size: '1', colour: 'red' }], surprise: true, 'other.surprise': 1 },
    });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
    expect(wrongFields(answer)).toEqual([
      'body name',
      'body other.surprise',
      'body parts.1.size',
      'body parts.2.colour',
      'body parts.2.size',
      'body surprise',
      'header idempotency-key',
      'path id',
      'query colour',
      'query limit',
      'query unknown',
    ]);
    expect(answer.body.detail).toMatch(/ and 6 more$/);
  });

  it('400: the text stays short, however many fields are wrong', async () => {
    const answer = await send({ body: { name: 'x', ...Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`f${i}`, 1])) } });
    expect(answer.body.errors).toHaveLength(90);
    expect(answer.body.detail.length).toBeLessThan(400);
  });

  it.each(['0', '-1', '+1', '1.0', '1e3', '007', '0x1', ' 1', '1 ', '2147483648', '99999999999999999999', 'NaN', '%31%00', "1'--", ''])(
    '400: "%s" is no id',
    async (id) => {
      const answer = await send({ pathParameters: { id } });
      expect(answer).toMatchObject({ statusCode: 400 });
      expect(wrongFields(answer)).toEqual(['path id']);
    },
  );

  it('200: the largest id there can be', async () => {
    expect(await send({ pathParameters: { id: '2147483647' } })).toMatchObject({ statusCode: 200, body: { path: { id: 2_147_483_647 } } });
  });

  it.each(['0', '501', '-5', '1.5', 'ten', '', ' ', 'Infinity', '1e999'])('400: "%s" is no number of items for a page', async (limit) => {
    expect(wrongFields(await send({ query: { limit } }))).toEqual(['query limit']);
  });

  it('200: an Idempotency-Key of 255 characters; 400: one more, an empty one, or one with a letter that is not ASCII', async () => {
    expect(await send({ headers: { 'Idempotency-Key': 'k'.repeat(255) } })).toMatchObject({ statusCode: 200 });
    for (const key of ['k'.repeat(256), '', 'ключ', 'a\nb', 'a b']) {
      expect(wrongFields(await send({ headers: { 'Idempotency-Key': key } }))).toEqual(['header idempotency-key']);
    }
  });
});
