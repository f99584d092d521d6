import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler as createEditFleet } from '../../functions/edit-fleet/handler.ts';
import { createHandler as createGetDevices } from '../../functions/get-device-versions/handler.ts';
import { createHandler as createGetFleet } from '../../functions/get-fleet/handler.ts';
import { upsertDevices } from '../../lib/fleet/change-queries.ts';
import { NewDevice } from '../../lib/fleet/new-device.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenFirmware, registeredLongAgo, silentLog, TestClock } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { createUpdateApi } from '../support/update-api.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const { authenticate, token } = identity;
const api = await createUpdateApi(db, identity);
const writer = await token({ scopes: ['devices:write'], subject: 'admin' });
const auditor = await token({ scopes: ['audit:read'] });
const reader = await token({ scopes: ['read'] });
const clock = new TestClock();
const deps = { db, advances: new InMemoryQueue<AdvanceMessage>(), authenticate, log: silentLog, now: clock.now };
const { id: firmware_id, version } = await givenFirmware(db);

interface Line {
  id: number;
  caller: string;
  action: string;
  resource_id: string | null;
  outcome: unknown;
}
type Answer = Record<string, unknown> & { code: string; items: Line[]; next_cursor: string | null };
const change = (external_id: string, body: object) =>
  call<Answer>(createEditFleet(deps), {
    ...{ method: 'PATCH', path: '/v1/devices/{kind}/{external_id}', pathParameters: { kind: 'scooter', external_id }, token: writer, body },
  });
const getScooter = (external_id: string, more: object = {}) =>
  call<Answer>(createGetDevices(deps), {
    ...{ method: 'GET', path: '/v1/scooters/{external_id}', pathParameters: { external_id }, token: reader, ...more },
  });
const audit = (query: Record<string, string> = {}, more: object = {}) =>
  call<Answer>(createGetFleet(deps), { method: 'GET', path: '/v1/audit', token: auditor, query, ...more });
const executions = () => db.selectFrom('update_executions').select(['status', 'reason', 'phase']).orderBy('id').execute();

beforeEach(async () => {
  await sql`TRUNCATE devices, audit_lines, updates, update_executions, update_exclusions, device_seen_counts, device_firmware_counts CASCADE`.execute(
    db,
  );
  const scooters = [1, 2, 3].map((n) => NewDevice.parse({ kind: 'scooter', external_id: `S-${n}`, version: 1 }));
  await upsertDevices(db, scooters, registeredLongAgo);
});

describe('a device that is retired', () => {
  it('200: its open executions end REMOVED, it is left out of updates as RETIRED_DEVICE, and of counts; it keeps its history', async () => {
    await confirmUpdate(deps, [confirmation({ external_id: 'S-1', version: '0.9' })]);
    const update = await api.create({ firmware_id, targets: { external_ids: ['S-1', 'S-2'] } });
    expect(update).toMatchObject({ statusCode: 202 });
    expect(await change('S-1', { retired: true })).toMatchObject({ statusCode: 200, body: { retired_dt: clock.now().toISOString() } });
    expect(await executions()).toEqual([
      { status: 'REMOVED', reason: 'RETIRED_DEVICE', phase: 'ended' },
      { status: 'QUEUED', reason: null, phase: 'waiting' },
    ]);
    expect(await api.create({ firmware_id, targets: { external_ids: ['S-1', 'S-3'] }, dry_run: true })).toMatchObject({
      body: { eligible: 1, reasons: expect.arrayContaining([expect.objectContaining({ reason: 'RETIRED_DEVICE', count: 1 })]) },
    });
    // A filter means devices in service.
    expect(await api.create({ firmware_id, targets: { filter: {} }, dry_run: true })).toMatchObject({ body: { eligible: 1 } });
    const { rows: counted } = await sql`
      SELECT sum(device_count) AS n FROM device_firmware_counts UNION ALL SELECT sum(device_count) FROM device_seen_counts`.execute(db);
    expect(counted).toEqual([{ n: 0 }, { n: 2 }]);
    const { body } = await getScooter('S-1', { query: { history: 'true' } });
    expect(body).toMatchObject({ history: { items: [{ version: '0.9' }] } });
  });

  it('200: still has what it runs learned, uncounted, and counts again when it comes back', async () => {
    await change('S-1', { retired: true });
    await confirmUpdate(deps, [confirmation({ external_id: 'S-1', version })]);
    const counts = async () => {
      const { rows } = await sql<{ n: number }>`SELECT coalesce(sum(device_count), 0) AS n FROM device_firmware_counts`.execute(db);
      return rows[0]?.n;
    };
    expect(await counts()).toBe(0);
    expect(await change('S-1', { retired: false })).toMatchObject({
      statusCode: 200,
      body: { retired_dt: null, firmwares: [{ version }] },
    });
    expect(await counts()).toBe(1);
    expect((await audit()).body.items.map(({ action }) => action)).toEqual(['reinstate', 'retire']);
  });

  it('has no open execution, however requests of updates race with its retirement', async () => {
    for (let round = 0; round < 10; round += 1) {
      await sql`TRUNCATE updates, update_executions, update_exclusions CASCADE`.execute(db);
      await db.updateTable('devices').set({ retired_dt: null }).execute();
      await Promise.all([
        api.create({ firmware_id, targets: { external_ids: ['S-1', 'S-2'] } }),
        change('S-1', { retired: true }),
        api.create({ firmware_id, targets: { external_ids: ['S-1', 'S-3'] } }),
      ]);
      const { rows } = await sql`
        SELECT e.status FROM update_executions e JOIN devices d ON d.id = e.device_id
        WHERE d.external_id = 'S-1' AND e.status IN ('QUEUED', 'IN_PROGRESS')`.execute(db);
      expect(rows).toEqual([]);
    }
  });
});

describe('a device that gets another external_id', () => {
  it('200: is the same device, and says what it was called before', async () => {
    await confirmUpdate(deps, [confirmation({ external_id: 'S-1', version })]);
    expect(await change('S-1', { external_id: 'S-100' })).toMatchObject({ statusCode: 200, body: { external_id: 'S-100' } });
    expect((await getScooter('S-1')).statusCode).toBe(404);
    const { body } = await getScooter('S-100');
    expect(body).toMatchObject({ firmwares: [{ version }], aliases: [{ external_id: 'S-1', until_dt: clock.now().toISOString() }] });
    expect((await audit({ resource: 'device', resource_id: 'scooter/S-1' })).body.items).toMatchObject([
      { caller: 'admin', action: 'change', outcome: { before: { external_id: 'S-1' }, after: { external_id: 'S-100' } } },
    ]);
  });

  it('409: the id of another device is refused, and nothing is changed', async () => {
    expect(await change('S-1', { external_id: 'S-2', revision: 'B2' })).toMatchObject({ statusCode: 409, body: { code: 'device.exists' } });
    expect((await getScooter('S-1')).body).toMatchObject({ revision: null, aliases: [] });
    expect((await audit()).body.items).toEqual([]);
  });
});

describe('GET /v1/audit', () => {
  beforeEach(async () => {
    for (const revision of ['A', 'B', 'C']) await change('S-1', { revision });
    await change('S-2', { revision: 'A' });
  });

  it('200: the latest first, by resource and by caller, page by page', async () => {
    const all = (await audit()).body.items;
    expect(all.map(({ resource_id }) => resource_id)).toEqual(['scooter/S-2', 'scooter/S-1', 'scooter/S-1', 'scooter/S-1']);
    const first = (await audit({ resource: 'device', resource_id: 'scooter/S-1', limit: '2' })).body;
    expect(first.items.map(({ outcome }) => outcome)).toMatchObject([{ after: { revision: 'C' } }, { after: { revision: 'B' } }]);
    const cursor = first.next_cursor ?? '';
    const second = (await audit({ resource: 'device', resource_id: 'scooter/S-1', limit: '2', cursor })).body;
    expect(second).toMatchObject({ items: [{ outcome: { before: { revision: null }, after: { revision: 'A' } } }], next_cursor: null });
    expect((await audit({ caller: 'admin' })).body.items).toHaveLength(4);
    expect((await audit({ caller: 'nobody' })).body.items).toEqual([]);
    expect((await audit({ until: clock.now().toISOString() })).body.items).toEqual([]);
    expect((await audit({ since: clock.now().toISOString() })).body.items).toHaveLength(4);
  });

  it('403: asks for a scope of its own', async () => {
    expect(await audit({}, { token: reader })).toMatchObject({ statusCode: 403 });
  });

  it('is append-only', async () => {
    await expect(sql`UPDATE audit_lines SET caller = 'nobody'`.execute(db)).rejects.toThrow('append-only');
    await expect(sql`DELETE FROM audit_lines`.execute(db)).rejects.toThrow('append-only');
  });
});
