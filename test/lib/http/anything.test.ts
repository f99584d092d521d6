import fc from 'fast-check';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { createHandler as createConfirmUpdate } from '../../../functions/confirm-update/handler.ts';
import { createHandler as createEditHardwareType } from '../../../functions/edit-hardware-type/handler.ts';
import { createHandler as createGetDevices } from '../../../functions/get-device-versions/handler.ts';
import { createHandler as createGetUpdates } from '../../../functions/get-updates/handler.ts';
import { createHandler as createGetVersions } from '../../../functions/get-versions/handler.ts';
import { createHandler as createListDevices } from '../../../functions/list-devices/handler.ts';
import { createHandler as createObserveVersions } from '../../../functions/observe-versions/handler.ts';
import { createHandler as createRegisterDevices } from '../../../functions/register-devices/handler.ts';
import { createHandler as createRequestUpdate } from '../../../functions/request-update/handler.ts';
import { createHandler as createUploadFirmware } from '../../../functions/upload-firmware/handler.ts';
import { endpoint, type HttpHandler, json, operation } from '../../../lib/http/endpoint.ts';
import { encodeCursor, type List, listOf } from '../../../lib/http/page.ts';
import { defineRoute } from '../../../lib/http/route.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenDevices, givenFirmware, TestClock } from '../../support/fixtures.ts';
import { call, createIdentity, createRecordingLog, invoke } from '../../support/http.ts';
import { InMemoryQueue } from '../../support/in-memory-queue.ts';
import { InMemoryStorage } from '../../support/in-memory-storage.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const token = await identity.token();
const { now } = new TestClock();
const log = createRecordingLog();
const deps = {
  ...{ db, now, log, authenticate: identity.authenticate, storage: new InMemoryStorage(now) },
  ...{ advances: new InMemoryQueue<never>(), registrations: new InMemoryQueue<object>(), observations: new InMemoryQueue<never>() },
};
const { id: firmware_id } = await givenFirmware(db);
const [external_id = ''] = await givenDevices(db);

const writes: [string, HttpHandler, unknown][] = [
  [
    'POST /v1/firmwares',
    createUploadFirmware(deps),
    {
      ...{ hardware_type: 'vega_mcu', version: '7.0', filename: 'a.bin', comment: 'x', size_bytes: 5, sha256: 'a'.repeat(64) },
      requires: [{ hardware_type: 'vega_gsm', minimum_version_num: 1 }],
      minimum_from_version_num: 1,
    },
  ],
  [
    'POST /v1/hardware-types',
    createEditHardwareType(deps),
    {
      ...{ name: 'display', device_kind: 'scooter', channel: 'telematics' },
      ...{ scooter_versions: [1, 2], fits_own_iot: true, max_size_bytes: 5 },
    },
  ],
  [
    'POST /v1/observations',
    createObserveVersions(deps),
    { targets: { filter: { kind: 'scooter', version: 1 } }, add_unknown: true, maximum_per_minute: 5, comment: 'x' },
  ],
  ['POST /v1/observations', createObserveVersions(deps), { targets: { kind: 'scooter', external_ids: [external_id] } }],
  ['PUT /v1/devices', createRegisterDevices(deps), { devices: [{ kind: 'scooter', external_id: 'S-9', version: 1, channel: 'iot' }] }],
  ['POST /v1/devices/lookup', createGetDevices(deps), { kind: 'scooter', external_ids: ['S-9'] }],
  [
    'POST /v1/updates',
    createRequestUpdate(deps),
    { firmware_id, targets: { external_ids: [external_id] }, rollout: { maximum_per_minute: 5 }, allow_downgrade: true, comment: 'x' },
  ],
  [
    'POST /v1/updates',
    createRequestUpdate(deps),
    {
      firmware_id,
      targets: { filter: { kind: 'scooter', version: 1, running: { hardware_type: 'vega_mcu', version: '1' }, percentage: 5 } },
    },
  ],
  [
    'POST /v1/confirmations',
    createConfirmUpdate(deps),
    {
      confirmations: [
        {
          kind: 'scooter',
          external_id,
          hardware_type: 'vega_mcu',
          version: '1.0',
          status: 'SUCCEEDED',
          occurred_dt: '2026-11-24T08:00:00.000Z',
          execution_id: 1,
          detail: 'x',
        },
      ],
    },
  ],
];

/** With the list that its cursors belong to. */
const lists: [string, HttpHandler, Record<string, string>, List][] = [
  [
    'GET /v1/firmwares',
    createGetVersions(deps),
    { hardware_type: 'vega_mcu', status: 'available', limit: '5' },
    listOf('firmwares', { hardware_type: 'vega_mcu', status: 'available' }),
  ],
  ['GET /v1/hardware-types', createGetVersions(deps), { limit: '5' }, listOf('hardware types')],
  [
    'GET /v1/devices',
    createListDevices(deps),
    {
      ...{ kind: 'scooter', version: '1', channel: 'iot', runs_firmware_id: '1', older_than_firmware_id: '1' },
      ...{ unknown_version: 'vega_mcu', not_seen_since: '2026-11-17T00:00:00Z', limit: '5' },
    },
    listOf('devices', {
      ...{ kind: 'scooter', version: '1', channel: 'iot', runs_firmware_id: 1, older_than_firmware_id: 1 },
      ...{ unknown_version: 'vega_mcu', not_seen_since: '2026-11-17T00:00:00.000Z' },
    }),
  ],
  ['GET /v1/updates', createGetUpdates(deps), { status: 'COMPLETED', limit: '5' }, listOf('updates', { status: 'COMPLETED' })],
];

/** What has broken programs before. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    '\u0000',
    'a\u0000b',
    '\ud800',
    '\u2028',
    '{}',
    '{"a"}',
    'NULL',
    "'; DROP TABLE devices; --",
    '$1',
    '\\',
    '%s%n',
    '🛴'.repeat(40),
    '',
    ' ',
    '2026-02-30T00:00:00Z',
    '0000-01-01T00:00:00Z',
    '0001-01-01T00:00:00+23:59',
    '9999-12-31T23:59:59.999-23:59',
    '2016-12-31T23:59:60Z',
    '2026-11-24T08:00:00.000000000000001Z',
    0,
    -0,
    -1,
    1.5,
    1e-320,
    1e308,
    2_147_483_647,
    2_147_483_648,
    2 ** 53,
    null,
    true,
    [],
    {},
    [[]],
  ),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.jsonValue(),
);

/** Every place in a value, as a function that puts another value there. */
const placesIn = (value: unknown): ((other: unknown) => unknown)[] => {
  if (typeof value !== 'object' || value === null) return [(other) => other];
  const inside = Object.entries(value).flatMap(([key, child]) =>
    placesIn(child).map((put) => (other: unknown) => {
      const copy = structuredClone(value) as Record<string, unknown>;
      copy[key] = put(other);
      return copy;
    }),
  );
  return [(other) => other, ...inside];
};

describe.each(writes)('%s', (route, handler, valid) => {
  const [method = '', path = ''] = route.split(' ');

  it('answers whatever stands in a field with 2xx or 4xx, and never with a failure of its own', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...placesIn(valid)), odd, async (put, value) => {
        log.lines.length = 0;
        const { statusCode } = await call(handler, { method, path, token, body: put(value) ?? 'null' });
        expect(statusCode, log.lines.join('\n')).toBeLessThan(500);
      }),
      { numRuns: 500 },
    );
  });

  it('each odd value in each field, one by one', { timeout: 60_000 }, async () => {
    for (const put of placesIn(valid)) {
      for (const value of ['a\u0000b', '\ud800', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59.999-23:59', 1e308, 2_147_483_648, null]) {
        const body = put(value);
        const { statusCode } = await call(handler, { method, path, token, body: body ?? 'null' });
        expect(statusCode, `${JSON.stringify(body)}\n${log.lines.join('\n')}`).toBeLessThan(500);
        log.lines.length = 0;
      }
    }
  });
});

describe.each(lists)('%s', (route, handler, valid, list) => {
  const [method = '', path = ''] = route.split(' ');

  it('answers whatever stands in the query with 200 or 400', { timeout: 30_000 }, async () => {
    const text = odd.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
    const query = fc.oneof(
      fc.tuple(fc.constantFrom(...Object.keys(valid)), text),
      fc
        .oneof(
          text,
          fc.array(odd, { maxLength: 3 }).map((key) => encodeCursor(list, key)),
        )
        .map((cursor) => ['cursor', cursor] as const),
    );
    await fc.assert(
      fc.asyncProperty(query, async ([name, value]) => {
        log.lines.length = 0;
        const { statusCode } = await call(handler, { method, path, token, query: { ...valid, [name]: value } });
        expect([200, 400], log.lines.join('\n')).toContain(statusCode);
      }),
      { numRuns: 400 },
    );
  });

  it('400: a cursor of this list in which NUL or half a character stands', async () => {
    for (const text of ['a\u0000b', '\u0000', '\ud800']) {
      const query = { ...valid, cursor: encodeCursor(list, [text]) };
      expect(await call(handler, { method, path, token, query })).toMatchObject({
        statusCode: 400,
        body: { errors: [{ in: 'query', path: 'cursor' }] },
      });
    }
  });
});

it('400: a text that no schema has refused and PostgreSQL does', async () => {
  const unguarded = defineRoute({
    method: 'POST',
    operationId: 'store',
    path: '/v1/unguarded',
    tag: 'Service',
    scope: null,
    summary: 'Stores whatever comes',
    body: z.looseObject({ text: z.string() }),
    responses: { 200: { description: 'Stored', body: z.looseObject({}) } },
  });
  const handler = endpoint(
    operation(deps, unguarded, async ({ body }) => {
      await sql`SELECT ${body.text}::text, ${JSON.stringify(body)}::jsonb`.execute(db);
      return json(200, {});
    }),
  );
  for (const body of ['{"text": "a\\u0000b"}', '{"text": "", "json": "a\\u0000b"}']) {
    const answer = await invoke(handler, { method: 'POST', path: '/v1/unguarded', body });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
  }
});

it.each(['a\u0000b', '\ud800', '🛴'.repeat(2_500), `${'x'.repeat(1_999)}🛴`])(
  'POST /v1/confirmations stores a failure whose detail is odd: %j',
  async (detail) => {
    const [device = ''] = await givenDevices(db);
    const update = { firmware_id, targets: { external_ids: [device] } };
    expect(await call(createRequestUpdate(deps), { method: 'POST', path: '/v1/updates', token, body: update })).toMatchObject({
      statusCode: 202,
    });
    await sql`
      WITH dispatch AS (
        INSERT INTO update_dispatches (update_id, step, commands, released_dt)
        SELECT update_id, 0, 1, ${now()} FROM update_executions WHERE phase = 'waiting' RETURNING id, update_id
      )
      UPDATE update_executions e SET status = 'IN_PROGRESS', phase = 'asked', sent_dt = ${now()}, dispatch_id = dispatch.id
      FROM dispatch WHERE e.update_id = dispatch.update_id`.execute(db);
    const confirmations = [
      { external_id: device, hardware_type: 'vega_mcu', version: '9', status: 'FAILED', occurred_dt: '2026-11-24T08:00:01.000Z', detail },
    ];
    const answer = await call(createConfirmUpdate(deps), { method: 'POST', path: '/v1/confirmations', token, body: { confirmations } });
    expect(answer, log.lines.join('\n')).toMatchObject({
      statusCode: 200,
      body: { outcomes: [{ outcome: 'stored', execution: { status: 'FAILED' } }] },
    });
  },
);
