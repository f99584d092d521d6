import { sql } from 'kysely';
import { beforeAll, describe, expect, it } from 'vitest';
import { createHandler as createGetDevices } from '../../functions/get-device-versions/handler.ts';
import { createHandler as createGetUpdates } from '../../functions/get-updates/handler.ts';
import { createHandler as createGetVersions } from '../../functions/get-versions/handler.ts';
import { createHandler as createListDevices } from '../../functions/list-devices/handler.ts';
import type { HttpHandler } from '../../lib/http/endpoint.ts';
import { requestUpdate } from '../../lib/update/plan/request-update.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, givenFirmware, silentLog, startOfTime, TestClock, updateRequest } from '../support/fixtures.ts';
import { type Call, call, createIdentity } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { InMemoryStorage } from '../support/in-memory-storage.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const token = await identity.token({ scopes: ['read'] });
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
}, 120_000);

interface Page {
  items: unknown[];
  next_cursor: string | null;
}
const bytesOf = (body: unknown) => Buffer.byteLength(JSON.stringify(body));

describe('a list at its largest page, of the largest items', () => {
  it.each<[string, () => HttpHandler, Partial<Call>]>([
    ['/v1/firmwares', () => createGetVersions(deps), { query: { hardware_type: 'vega_gsm', links: 'true' } }],
    ['/v1/devices', () => createListDevices(deps), {}],
    ['/v1/updates/{id}/executions', () => createGetUpdates(deps), { pathParameters: { id: '1' } }],
  ])('200: %s stays below 5 MB, ends early, and has every item once over all pages', async (path, create, request) => {
    let cursor: string | null = null;
    const seen = new Set<string>();
    do {
      const query: Record<string, string> = { ...request.query, limit: '500', ...(cursor !== null && { cursor }) };
      const { statusCode, body } = await call<Page>(create(), { ...request, method: 'GET', path, token, query });
      expect(statusCode).toBe(200);
      expect(bytesOf(body)).toBeLessThan(5_000_000);
      expect(body.items.length).toBeGreaterThan(0);
      expect(body.items.length).toBeLessThan(500);
      for (const item of body.items) seen.add(JSON.stringify(item));
      cursor = body.next_cursor;
    } while (cursor !== null);
    expect(seen.size).toBe(rows);
  });
});

it('422: an answer that is no page and would be larger is refused with what to do; 200: for fewer devices', async () => {
  const lookUp = (ids: string[]) =>
    call(createGetDevices(deps), { method: 'POST', path: '/v1/devices/lookup', token, body: { external_ids: ids } });
  expect(await lookUp(external_ids)).toMatchObject({ statusCode: 422, body: { code: 'answer.too_large' } });
  expect(await lookUp(external_ids.slice(0, 50))).toMatchObject({ statusCode: 200 });
});
