import { sql } from 'kysely';
import { beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { createHandler as createAuthorKeys } from '../../functions/author-keys/handler.ts';
import { createHandler as createGetAssemblies } from '../../functions/get-assemblies/handler.ts';
import { createHandler as createGetDevices } from '../../functions/get-device-versions/handler.ts';
import { createHandler as createGetFleet } from '../../functions/get-fleet/handler.ts';
import { createHandler as createGetObservations } from '../../functions/get-observations/handler.ts';
import { createHandler as createGetStats } from '../../functions/get-stats/handler.ts';
import { createHandler as createGetUpdates } from '../../functions/get-updates/handler.ts';
import { createHandler as createGetVersions } from '../../functions/get-versions/handler.ts';
import { createHandler as createListDevices } from '../../functions/list-devices/handler.ts';
import { routes } from '../../functions/routes.ts';
import type { HttpHandler } from '../../lib/http/endpoint.ts';
import { requestUpdate } from '../../lib/update/plan/request-update.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, givenFirmware, silentLog, startOfTime, TestClock, updateRequest } from '../support/fixtures.ts';
import { type Call, call, createIdentity } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { InMemoryStorage } from '../support/in-memory-storage.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const token = await identity.token({ scopes: ['read', 'audit:read'] });
const { now } = new TestClock();
const deps = { db, now, authenticate: identity.authenticate, log: silentLog, storage: new InMemoryStorage(now) };

const rows = 520;
let external_ids: string[] = [];

/** Rows as large as callers and devices can make them: each letter is six bytes in JSON. */
beforeAll(async () => {
  const text = '\u0001'.repeat(2_000);
  const { id: firmware_id } = await givenFirmware(db);
  external_ids = await givenDevices(db, rows);
  await requestUpdate(
    { db, advances: new InMemoryQueue(), now: () => startOfTime },
    updateRequest({ firmware_id, targets: { external_ids } }),
  );
  await sql`UPDATE update_executions SET detail = ${text}, reason = 'DEFERRED: ' || ${text.slice(0, 400)}`.execute(db);
  await sql`
    INSERT INTO firmwares (hardware_type, version, object_key, status, comment, created_by, created_dt, size_bytes, sha256)
    SELECT 'vega_gsm', 'draft ' || i, 'firmwares/' || i, 'awaiting_upload', ${text}, 'x', ${startOfTime}, 1, repeat('a', 64)
    FROM generate_series(1, ${rows}::integer) i`.execute(db);
  await sql`UPDATE updates SET comment = ${text}, reason = ${text.slice(0, 500)}`.execute(db);
  await sql`
    INSERT INTO hardware_types (name, device_kind, channel, scooter_versions, fits_own_iot, max_size_bytes)
    SELECT 'component_' || i, 'scooter', 'telematics', '{1,2}', false, 5 FROM generate_series(1, 60) i`.execute(db);
  await sql`
    INSERT INTO device_firmwares (device_id, hardware_type, reported_version, firmware_update_dt, observed_dt, source)
    SELECT d.id, h.name, repeat('й', 64), ${startOfTime}, ${startOfTime}, 'confirmation'
    FROM devices d CROSS JOIN hardware_types h WHERE h.name LIKE 'component_%'`.execute(db);
  await givenManyUpdates();
  await givenManyAssemblies(text);
  await givenManyObservations(text);
  await givenManyAuthors(text);
  await givenManyPlaces(text);
  await sql`
    INSERT INTO update_exclusions SELECT 1, 'scooter', repeat('x', 120) || i, 'UNKNOWN_DEVICE' FROM generate_series(1, ${rows}::integer) i
  `.execute(db);
  await sql`
    INSERT INTO hardware_types (name, device_kind, channel, scooter_versions, fits_own_iot, max_size_bytes, version_attribute, version_pattern)
    SELECT 'type_' || i, 'cabinet', 'telematics', '{}', false, 5, repeat('"', 128), repeat('"', 128)
    FROM generate_series(1, ${rows}::integer) i`.execute(db);
}, 120_000);

/** As large as the first, each with an execution of the first device. */
const givenManyUpdates = async (): Promise<void> => {
  await sql`
    INSERT INTO updates OVERRIDING SYSTEM VALUE
    SELECT (jsonb_populate_record(u, jsonb_build_object('id', 1000 + i))).*
    FROM updates u CROSS JOIN generate_series(1, ${rows}::integer - 1) i WHERE u.id = 1`.execute(db);
  await sql`
    INSERT INTO update_executions OVERRIDING SYSTEM VALUE
    SELECT (jsonb_populate_record(e, jsonb_build_object(
      'id', 100000 + u.id, 'update_id', u.id, 'status', 'CANCELED', 'phase', 'ended', 'finished_dt', now()
    ))).*
    FROM update_executions e CROSS JOIN updates u
    WHERE u.id > 1000 AND e.update_id = 1 AND e.device_id = (SELECT id FROM devices WHERE external_id = ${external_ids[0]})`.execute(db);
};

const givenManyAssemblies = async (text: string): Promise<void> => {
  for (let i = 0; i < 19; i += 1) await givenFirmware(db);
  await sql`
    INSERT INTO assemblies (created_by, created_dt, hardware_compatibility, request_hash, request_id, signed, last_error, last_error_dt)
    SELECT 'x', ${startOfTime}, array_fill(repeat('й', 64), '{20}'), '', 'r', true, ${text}, ${startOfTime}
    FROM generate_series(1, ${rows}::integer) i`.execute(db);
  await sql`
    INSERT INTO firmwares (hardware_type, version, object_key, status, comment, created_by, created_dt, assembly_id)
    SELECT 'cabinet', 'package ' || id, 'packages/' || id, 'awaiting_upload', ${text}, 'x', ${startOfTime}, id FROM assemblies`.execute(db);
  await sql`
    INSERT INTO assembly_parts (assembly_id, position, firmware_id, handler, path)
    SELECT a.id, p.place, p.id, 'rawfile', '/' || repeat('"', 200)
    FROM assemblies a CROSS JOIN (
      SELECT id, row_number() OVER () AS place FROM firmwares WHERE version_num IS NOT NULL
    ) p`.execute(db);
};

/** The first one has found a change on every device. */
const givenManyObservations = async (text: string): Promise<void> => {
  await sql`
    INSERT INTO observations (kind, external_ids, filter, add_unknown, comment, created_by, created_dt, maximum_per_minute, request_hash,
      request_id, status, finished_dt, last_error, last_error_dt)
    SELECT NULL, NULL, '{}', false, ${text}, 'x', ${startOfTime}, 1, '', 'r', 'COMPLETED', ${startOfTime}, ${text}, ${startOfTime}
    FROM generate_series(1, ${rows}::integer) i`.execute(db);
  await sql`
    INSERT INTO device_firmware_history (device_id, firmware_update_dt, hardware_type, observation_id, observed_dt, reported_version, source)
    SELECT d.id, ${startOfTime}, 'vega_mcu', (SELECT min(id) FROM observations), ${startOfTime}, repeat('й', 64), 'observation'
    FROM devices d ORDER BY d.id LIMIT ${rows}`.execute(db);
  await sql`
    INSERT INTO device_firmware_history (device_id, firmware_update_dt, hardware_type, observed_dt, reported_version, source)
    SELECT d.id, ${startOfTime}, 'vega_mcu', ${startOfTime}, repeat('"', 60) || i, 'confirmation'
    FROM devices d CROSS JOIN generate_series(1, 1000) i WHERE d.external_id = ${external_ids[0]}`.execute(db);
};

const givenManyAuthors = async (text: string) => {
  await sql`
    INSERT INTO author_keys (kid, owner, public_key, hardware_types, valid_from_dt, created_by, created_dt, revoked_dt, revoked_by, revocation_reason)
    SELECT 'key ' || i, 'x', ${JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) })}::jsonb, '{vega_mcu}', ${startOfTime}, 'x', ${startOfTime},
           ${startOfTime}, 'x', ${text}
    FROM generate_series(1, ${rows}::integer) i`.execute(db);
  const document = JSON.stringify({ payload: 'A'.repeat(10_000), signatures: [{ protected: 'A', signature: 'A' }] });
  await sql`
    INSERT INTO author_roots SELECT i, ${document}::jsonb, 'x', ${startOfTime} FROM generate_series(1, ${rows}::integer) i`.execute(db);
};

const givenManyPlaces = async (text: string) => {
  await sql`
    INSERT INTO zones (name, time_zone, comment, created_dt)
    SELECT 'zone-' || i, 'Europe/Berlin', ${text}, ${startOfTime} FROM generate_series(1, ${rows}::integer) i`.execute(db);
  await sql`
    INSERT INTO groups (name, filter, comment, created_dt)
    SELECT 'group-' || i, '{"kind": "scooter"}', ${text}, ${startOfTime} FROM generate_series(1, ${rows}::integer) i`.execute(db);
  await sql`
    INSERT INTO audit_lines (occurred_dt, caller, request_id, action, resource, resource_id, outcome)
    SELECT ${startOfTime}, 'x', 'r', 'change', 'zone', 'zone-' || i, jsonb_build_object('after', ${text}::text)
    -- What is there already: the lines of the updates above.
    FROM generate_series(1, ${rows}::integer - (SELECT count(*) FROM audit_lines)::integer) i
  `.execute(db);
};

interface Page {
  items: unknown[];
  next_cursor: string | null;
}
const bytesOf = (body: unknown) => Buffer.byteLength(JSON.stringify(body));

type Lists = readonly [path: string, create: () => HttpHandler, request?: Partial<Call>][];
const ofUpdate = { pathParameters: { id: '1' } };

/** Their largest pages would be larger than an answer can be, and end early. */
const large: Lists = [
  ['/v1/firmwares', () => createGetVersions(deps), { query: { hardware_type: 'vega_gsm', links: 'true' } }],
  ['/v1/devices', () => createListDevices(deps)],
  ['/v1/updates', () => createGetUpdates(deps)],
  ['/v1/updates/{id}/executions', () => createGetUpdates(deps), ofUpdate],
  ['/v1/scooters/{external_id}/updates', () => createGetUpdates(deps), {}],
  ['/v1/assemblies', () => createGetAssemblies(deps)],
  ['/v1/observations', () => createGetObservations(deps)],
  ['/v1/author-keys', () => createAuthorKeys(deps)],
  ['/v1/author-roots', () => createAuthorKeys(deps)],
  ['/v1/zones', () => createGetFleet(deps)],
  ['/v1/groups', () => createGetFleet(deps)],
  ['/v1/groups/{name}/devices', () => createGetFleet(deps), { pathParameters: { name: 'group-1' } }],
  ['/v1/audit', () => createGetFleet(deps)],
];
const small: Lists = [
  ['/v1/hardware-types', () => createGetVersions(deps)],
  ['/v1/updates/{id}/exclusions', () => createGetUpdates(deps), ofUpdate],
  ['/v1/observations/{id}', () => createGetObservations(deps), ofUpdate],
  ['/v1/scooters/{external_id}', () => createGetDevices(deps), { query: { history: 'true' } }],
];
/** Of the same code as that for scooters. */
const twins = ['/v1/cabinets/{external_id}', '/v1/cabinets/{external_id}/updates'];

/** Whatever a page of a list is, wherever in the answer. */
const isList = (schema: unknown): boolean => JSON.stringify(schema).includes('next_cursor');

describe('a list at its largest page, of the largest items', () => {
  it('is every list that there is', () => {
    const lists = routes.filter(({ method, responses }) => {
      const body = responses[200]?.body;
      return method === 'GET' && body && isList(z.toJSONSchema(body, { io: 'output', unrepresentable: 'any' }));
    });
    expect(
      [...large, ...small]
        .map(([path]) => path)
        .concat(twins)
        .sort(),
    ).toEqual(lists.map(({ path }) => path).sort());
  });

  const readAll = async ([path, create, request]: Lists[number], check: (items: unknown[], isLast: boolean) => void) => {
    let cursor: string | null = null;
    const seen = new Set<string>();
    do {
      const query: Record<string, string> = { ...request?.query, limit: '500', ...(cursor !== null && { cursor }) };
      const pathParameters = path.includes('external_id') ? { external_id: external_ids[0] ?? '' } : request?.pathParameters;
      const answer = await call<Page & { changes?: Page; history?: Page }>(create(), {
        ...{ method: 'GET', path, token, query },
        ...(pathParameters && { pathParameters }),
      });
      expect(answer.statusCode).toBe(200);
      expect(bytesOf(answer.body)).toBeLessThan(5_000_000);
      const { items, next_cursor } = answer.body.changes ?? answer.body.history ?? answer.body;
      check(items, next_cursor === null);
      for (const item of items) seen.add(JSON.stringify(item));
      cursor = next_cursor;
    } while (cursor !== null);
    return seen.size;
  };

  it.each(large)('200: %s stays below 5 MB, ends early, and has every item once over all pages', async (...list) => {
    const count = await readAll(list, (items) => {
      expect(items.length).toBeGreaterThan(0);
      expect(items.length).toBeLessThan(500);
    });
    expect(count).toBe(rows);
  });

  it.each(small)('200: %s stays below 5 MB, and has every item once over all pages', async (...list) => {
    const count = await readAll(list, (items, isLast) => expect(items.length === 500 || isLast).toBe(true));
    expect(count).toBeGreaterThanOrEqual(rows);
  });
});

it('200: the numbers of many hardware types stay below 5 MB', async () => {
  const { statusCode, body } = await call(createGetStats(deps), { method: 'GET', path: '/v1/stats', token });
  expect(statusCode).toBe(200);
  expect(bytesOf(body)).toBeLessThan(5_000_000);
});

it('422: an answer that is no page and would be larger is refused with what to do; 200: for fewer devices', async () => {
  const lookUp = (ids: string[]) =>
    call(createGetDevices(deps), { method: 'POST', path: '/v1/devices/lookup', token, body: { external_ids: ids } });
  expect(await lookUp(external_ids)).toMatchObject({ statusCode: 422, body: { code: 'answer.too_large' } });
  expect(await lookUp(external_ids.slice(0, 50))).toMatchObject({ statusCode: 200 });
});
