import { describe, expect, it } from 'vitest';
import type * as z from 'zod/mini';
import { routes } from '../../../functions/routes.ts';
import { NewDevice } from '../../../lib/fleet/new-device.ts';
import { endpoint, json, operation } from '../../../lib/http/endpoint.ts';
import { deviceScope, type Route } from '../../../lib/http/route.ts';
import { Confirmation } from '../../../lib/report/confirmation.ts';
import { type Call, createRecordingLog, invoke } from '../../support/http.ts';

/** A route with its own schemas and nothing behind it: whoever is let in was taken at his word. */
const doorOf = (route: Route) =>
  endpoint(
    operation(
      { authenticate: async () => ({ subject: 'tester', scopes: new Set([route.scope ?? '']) }), log: createRecordingLog() },
      route,
      async () => json(200, {}),
    ),
  );

interface Refusal {
  code: string;
  errors?: { in: string; path: string; message: string }[];
}
const send = (route: Route, request: Partial<Call>) =>
  invoke<Refusal>(doorOf(route), { method: route.method, path: route.path, token: 'any', ...request });

const nameOf = ({ method, path }: Route) => `${method} ${path}`;
const all = routes.map((route) => [nameOf(route), route] as const);
const withBody = all.filter(([, route]) => route.body);
const ofDevices = withBody.filter(([, { scope }]) => scope === deviceScope);
const ofCallers = withBody.filter(([, { scope }]) => scope !== deviceScope);

describe('a query parameter that the route does not have', () => {
  // An issuer of tokens sends people back to the console with whatever it likes.
  it.each(all.filter(([name]) => name !== 'GET /console'))('400: %s names it', async (_, route) => {
    for (const [name, value] of [
      ['dry_run', 'true'],
      ['force', 'true'],
      ['x', ''],
      ['__proto__', 'a'],
      ['toString', 'a'],
    ] as const) {
      const query = Object.fromEntries([[name, value]]);
      expect(await send(route, { query, ...(route.body && { body: {} }) })).toMatchObject({
        statusCode: 400,
        body: { code: 'request.invalid', errors: expect.arrayContaining([{ in: 'query', path: name, message: 'is not a known field' }]) },
      });
    }
  });
});

describe('a body that is not what it should be', () => {
  it.each(withBody)('400: %s takes null for no body that was left out', async (_, route) => {
    expect(await send(route, { body: 'null' })).toMatchObject({
      statusCode: 400,
      body: { code: 'request.invalid', errors: expect.arrayContaining([expect.objectContaining({ in: 'body', path: '' })]) },
    });
  });

  it.each(ofCallers)('400: %s names a key __proto__, which is a field that it does not have', async (_, route) => {
    for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(await send(route, { body: `{"${key}": {"prototype": {"a": 1}}}` })).toMatchObject({
        statusCode: 400,
        body: { code: 'request.invalid', errors: expect.arrayContaining([{ in: 'body', path: key, message: 'is not a known field' }]) },
      });
    }
  });

  it.each(ofDevices)('%s ignores a key __proto__ of a device', async (_, route) => {
    const path = { tenant: 'default', controllerId: 'cabinet.C-1', actionId: '1' };
    const body = '{"__proto__": {"a": 1}, "data": {"__proto__": {"a": 1}}, "status": {"execution": "closed", "__proto__": [1]}}';
    expect(await send(route, { pathParameters: path, body })).toMatchObject({ statusCode: 200 });
  });
});

/** Every text, number or other simple field of a schema, with its place. */
function* fieldsOf(schema: z.core.$ZodType, place: string[] = []): Iterable<{ place: string; schema: z.core.$ZodType }> {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type === 'object') for (const [name, field] of Object.entries(def.shape)) yield* fieldsOf(field, [...place, name]);
  else if (def.type === 'array') yield* fieldsOf(def.element, [...place, '[]']);
  else if (def.type === 'union') for (const option of def.options) yield* fieldsOf(option, place);
  else if (def.type === 'pipe' && isContainer(def.in)) yield* fieldsOf(def.in, place);
  else if ('innerType' in def && def.innerType) yield* fieldsOf(def.innerType, place);
  else yield { place: place.join('.'), schema };
}
const isContainer = (schema: z.core.$ZodType): boolean => [...fieldsOf(schema)].some(({ schema: field }) => field !== schema);

const partsOf = (route: Route) => [
  ...Object.entries({ path: route.pathParameters, query: route.query, header: route.headers, body: route.body }).flatMap(
    ([part, schema]) => (schema ? [...fieldsOf(schema)].map((field) => ({ part, ...field })) : []),
  ),
];

describe('a text with NUL or half a character', () => {
  /** They clean it, or compare it with what is known; a cursor is refused where it is read. */
  const takers = new Set([
    'query cursor',
    'body dry_run.cursor',
    // Judged one by one, by the schemas below.
    'body confirmations.[]',
    'body devices.[]',
    'body confirmations.[].detail',
    'body status.result',
    'body status.details',
    'body timestamp',
    'body data',
    'path tenant',
    'path controllerId',
    'path filename',
    'query c',
    'query actionHistory',
    // The page of the console reads these, its function does not.
    'query code',
    'query state',
    'query error',
  ]);

  it.each(all)('is taken by no field of %s but those that make something of it', (_, route) => {
    for (const { part, place, schema } of partsOf(route)) {
      if (takers.has(`${part} ${place}`)) continue;
      for (const text of ['a\u0000b', '\u0000', 'a\ud800', '\udfffa']) {
        expect((schema as z.core.$ZodType & z.ZodMiniType).safeParse(text).success, `${part} ${place}`).toBe(false);
      }
    }
  });
});

it.each([
  ['a confirmation but its detail, which is cleaned', Confirmation, ['detail']],
  ['a device', NewDevice, []],
] as const)('a text with NUL or half a character is taken by no field of %s', (_, item, cleaned: readonly string[]) => {
  for (const { place, schema } of fieldsOf(item)) {
    if (cleaned.includes(place)) continue;
    for (const text of ['a\u0000b', '\ud800']) expect((schema as z.ZodMiniType).safeParse(text).success, place).toBe(false);
  }
});

describe('a number in a query or path', () => {
  it.each(all)('has digits only, at every place of %s', (_, route) => {
    const numbers = partsOf(route).filter(
      ({ part, schema }) => (part === 'query' || part === 'path') && typeof (schema as z.ZodMiniType).safeParse('7').data === 'number',
    );
    for (const { part, place, schema } of numbers) {
      for (const text of ['0x7', ' 7', '7 ', '+7', '-7', '7.0', '7e0', '1e1', '0b1', '٧', '', '7\n', 'Infinity']) {
        expect((schema as z.ZodMiniType).safeParse(text).success, `${part} ${place} ${JSON.stringify(text)}`).toBe(false);
      }
    }
  });
});

describe('lists of errors', () => {
  it.each(withBody)('400: %s tells the first 100 wrong fields and how many there are', async (_, route) => {
    const unknown = Object.fromEntries(Array.from({ length: 5_000 }, (_value, i) => [`f${i}`, 1]));
    const { statusCode, body } = await send(route, { body: JSON.stringify(unknown) });
    if (route.scope === deviceScope) return expect([200, 400]).toContain(statusCode);
    expect(statusCode).toBe(400);
    expect(body).toMatchObject({ error_count: expect.any(Number) });
    expect((body as Refusal & { error_count: number }).error_count).toBeGreaterThanOrEqual(5_000);
    expect(body.errors).toHaveLength(100);
  });
});
