import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { DomainError } from '../../../lib/errors.ts';
import { RequestedTimestamp } from '../../../lib/firmware/firmware.ts';
import { ExternalId } from '../../../lib/fleet/device.ts';
import { endpoint, json, operation } from '../../../lib/http/endpoint.ts';
import { PageQuery } from '../../../lib/http/page.ts';
import { IdInPath } from '../../../lib/http/path-parameters.ts';
import { defineRoute } from '../../../lib/http/route.ts';
import { DryRunPage } from '../../../lib/update/plan/dry-run.ts';
import { Targets } from '../../../lib/update/update-request.ts';
import { type Call, createContext, createEvent, createIdentity, createRecordingLog, invoke } from '../../support/http.ts';

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

/** A route that makes text of whatever it is told, as those of devices do. */
const told = endpoint(
  operation(
    deps,
    defineRoute({
      method: 'POST',
      operationId: 'tell',
      path: '/v1/told',
      tag: 'Service',
      scope: 'read',
      summary: 'Makes text of a value',
      body: z.object({
        note: z.pipe(
          z.unknown(),
          z.transform((value) => JSON.stringify(value)),
        ),
      }),
      maximumBodyBytes: 5_000_000,
      responses: { 200: { description: 'Done', body: z.looseObject({}) } },
    }),
    async () => json(200, {}),
  ),
);
const wrongFields = ({ body }: Awaited<ReturnType<typeof send>>) => body.errors.map((error) => `${error.in} ${error.path}`).sort();

describe('a parameter of the path', () => {
  const named = defineRoute({
    ...route,
    method: 'GET',
    path: '/v1/{name}/of/{other}',
    pathParameters: z.object({ name: z.string(), other: z.string() }),
    query: undefined,
    headers: undefined,
    body: undefined,
  });
  const handler = endpoint(operation(deps, named, async ({ path }) => json(200, path)));
  const seen = async (request: Partial<Call>) =>
    (await invoke<{ name: string }>(handler, { method: 'GET', path: named.path, token, ...request })).body.name;

  it.each([
    ['50%2541.bin', '50%41.bin'],
    ['a%2Fb', 'a/b'],
    ['caf%C3%A9', 'café'],
    ['plain', 'plain'],
    ['a+b', 'a+b'],
    ['%2525', '%25'],
  ])('%s is decoded once, whether API Gateway hands it on as it is or serverless-offline decoded', async (encoded, decoded) => {
    const pathParameters = { name: encoded, other: 'v1' };
    expect(await seen({ pathParameters })).toBe(decoded);
    expect(await seen({ pathParameters, seenParameters: { name: decoded } })).toBe(decoded);
  });

  it('that is not well encoded stays as it is', async () => {
    expect(await seen({ pathParameters: { name: '100%', other: 'x' } })).toBe('100%');
  });
});

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
  ])('400: %s', async (_, body) => {
    const answer = await send({ body });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.malformed', detail: 'The body is not well-formed JSON' } });
    expect(answer.headers['content-type']).toBe('application/problem+json');
  });

  it('400: base64 of a text that is no UTF-8 inside', async () => {
    const body = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]).toString('base64');
    expect(await send({ body, isBase64Encoded: true })).toMatchObject({ statusCode: 400, body: { code: 'request.malformed' } });
  });

  it.each(['{"a":', '['])('400: nested a hundred thousand levels deep by %j', async (level) => {
    const body = `{"note":${level.repeat(100_000)}1${(level === '[' ? ']' : '}').repeat(100_000)}}`;
    const answer = await invoke(told, { method: 'POST', path: '/v1/told', token, body });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.malformed', detail: 'The request is nested too deep' } });
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

describe('a query parameter', () => {
  it('400: that comes twice is named, whichever value would have counted', async () => {
    const event = createEvent({ method: 'POST', path: '/v1/things/{id}', pathParameters: { id: '7' }, body: { name: 'x' }, token });
    event.queryStringParameters = { colour: 'blue' };
    event.multiValueQueryStringParameters = { colour: ['red', 'blue'] };
    const { statusCode, body } = await echo(event, createContext());
    expect(statusCode).toBe(400);
    expect(JSON.parse(body)).toMatchObject({ errors: [{ in: 'query', path: 'colour', message: 'comes more than once' }] });
    event.multiValueQueryStringParameters = { colour: ['blue'] };
    expect(await echo(event, createContext())).toMatchObject({ statusCode: 200 });
  });

  it.each(['0x10', '1e2', '+5', '5.0', ' 5', '5 ', '٥', '5\n'])('400: limit takes digits only, not %j', async (limit) => {
    expect(wrongFields(await send({ query: { limit } }))).toEqual(['query limit']);
  });
});

describe('many wrong fields', () => {
  const large = endpoint(operation(deps, { ...route, maximumBodyBytes: 10_000_000 }, async () => json(200, {})));
  const sendLarge = (body: unknown) =>
    invoke<{ errors: { path: string; message: string }[]; error_count: number; detail: string }>(large, {
      ...{ method: 'POST', path: '/v1/things/{id}', pathParameters: { id: '7' }, token, body },
    });
  const unknownKeys = (count: number, of = 'f') => Object.fromEntries(Array.from({ length: count }, (_, i) => [`${of}${i}`, 1]));

  it('400: 1,000 items with 130 unknown keys each: the first 100 of 130,000 are told', async () => {
    const answer = await sendLarge({ name: 'x', parts: Array.from({ length: 1_000 }, () => ({ size: 1, ...unknownKeys(130) })) });
    expect(answer).toMatchObject({ statusCode: 400, body: { error_count: 130_000 } });
    expect(answer.body.errors).toHaveLength(100);
    expect(answer.body.errors[99]).toEqual({ in: 'body', path: 'parts.0.f99', message: 'is not a known field' });
    expect(answer.body.detail).toMatch(/ and 129995 more$/);
  });

  it('400: 130,000 unknown keys in one object', async () => {
    const answer = await sendLarge({ name: 'x', ...unknownKeys(130_000) });
    expect(answer).toMatchObject({ statusCode: 400, body: { error_count: 130_000 } });
    expect(answer.body.errors).toHaveLength(100);
  });

  it('400: a key of a million letters is told by its beginning, and half a character is not cut off', async () => {
    const answer = await sendLarge({ name: 'x', [`${'🛴'.repeat(250_000)}`]: 1, [`x${'🛴'.repeat(250_000)}`]: 1 });
    expect(answer).toMatchObject({ statusCode: 400, body: { error_count: 2 } });
    expect(Buffer.byteLength(JSON.stringify(answer.body))).toBeLessThan(10_000);
    for (const { path } of answer.body.errors) expect(path.isWellFormed()).toBe(true);
  });

  it('400: 10,000 errors that only the work finds are told in the same way', async () => {
    const errors = Array.from({ length: 10_000 }, (_, i) => ({ in: 'body', path: `devices.${i}`, message: 'x'.repeat(1_000) }) as const);
    const failing = endpoint(
      operation(deps, route, async () => {
        throw new DomainError('request.invalid', 'y'.repeat(100_000), { errors });
      }),
    );
    const answer = await invoke<{ errors: unknown[] }>(failing, {
      ...{ method: 'POST', path: '/v1/things/{id}', pathParameters: { id: '7' }, token, body: { name: 'x' } },
    });
    expect(answer).toMatchObject({ statusCode: 400, body: { error_count: 10_000 } });
    expect(answer.body.errors).toHaveLength(100);
    expect(JSON.stringify(answer.body).length).toBeLessThan(100_000);
  });
});

describe('a field that may have several forms', () => {
  const chosen = endpoint(
    operation(
      deps,
      defineRoute({
        method: 'POST',
        operationId: 'choose',
        path: '/v1/chosen',
        tag: 'Service',
        scope: 'read',
        summary: 'A route whose field has several forms',
        body: z.strictObject({ targets: Targets, dry_run: z.optional(z.union([z.boolean(), DryRunPage])) }),
        responses: { 200: { description: 'Done', body: z.looseObject({}) } },
      }),
      async () => json(200, {}),
    ),
  );
  const sendChosen = async (body: unknown) => {
    const answer = await invoke<{ errors: { path: string; message: string }[] }>(chosen, {
      method: 'POST',
      path: '/v1/chosen',
      token,
      body,
    });
    expect(answer.statusCode).toBe(400);
    return answer.body.errors.map(({ path, message }) => `${path}: ${message}`);
  };

  it.each<[string, unknown, string[]]>([
    ['ids that are no list', { external_ids: 'S-1' }, ['targets.external_ids: Invalid input: expected array, received string']],
    [
      'one wrong id of several',
      { external_ids: ['S-1', 'S 2'] },
      ['targets.external_ids.1: may have letters, digits and . _ : ~ -, and is not . or .., which no address can name'],
    ],
    [
      'a filter with a wrong word',
      { filter: { kind: 'truck' } },
      ['targets.filter.kind: Invalid option: expected one of "scooter"|"cabinet"'],
    ],
    [
      'a form within a form',
      { filter: { running: { hardware_type: 'vega_mcu', version: 7 } } },
      ['targets.filter.running.version: Invalid input: expected string, received number'],
    ],
    ['an unknown field beside a known one', { external_ids: ['S-1'], kinds: 'x' }, ['targets.kinds: is not a known field']],
  ])('400: %s is told by the name of the inner field', async (_, targets, errors) => {
    expect(await sendChosen({ targets })).toEqual(errors);
  });

  it('400: where nobody can tell which form was meant, each is told with what it lacks', async () => {
    expect(await sendChosen({ targets: {} })).toEqual([
      'targets: external_ids (Invalid input: expected array, received undefined), or filter (Invalid input: expected object, received undefined), ' +
        'or group (Invalid input: expected string, received undefined)',
    ]);
    expect(await sendChosen({ targets: { external_ids: ['S-1'] }, dry_run: 'yes' })).toEqual([
      'dry_run: Invalid input: expected boolean, received string, or Invalid input: expected object, received string',
    ]);
    expect(await sendChosen({ targets: { external_ids: ['S-1'] }, dry_run: { reason: 'NONE' } })).toEqual([
      expect.stringMatching(/^dry_run\.reason: Invalid option/),
    ]);
  });
});

describe('an external id', () => {
  it.each(['.', '..'])('400: %s is no id, because no address can name it', (id) => {
    expect(ExternalId.safeParse(id).success).toBe(false);
  });

  it.each(['...', '.a', 'a.', '-', 'S-1'])('%s is one', (id) => {
    expect(ExternalId.safeParse(id).success).toBe(true);
  });
});

describe('a time', () => {
  it.each(['0000-01-01T00:00:00+23:59', '9999-12-31T23:59:59-00:01', '9999-12-31T23:59:59.999-23:59'])(
    '400: %s, whose answer would be no time of RFC 3339',
    (text) => {
      expect(RequestedTimestamp.safeParse(text).success).toBe(false);
    },
  );

  it.each([
    ['0000-01-01T00:00:00Z', '0000-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
    ['0001-01-01T00:00:00+23:59', '0000-12-31T00:01:00.000Z'],
  ])('%s is one', (text, same) => {
    expect(RequestedTimestamp.parse(text).toISOString()).toBe(same);
  });
});
