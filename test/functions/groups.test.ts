import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler as createEditFleet } from '../../functions/edit-fleet/handler.ts';
import { createHandler as createGetFleet } from '../../functions/get-fleet/handler.ts';
import { upsertDevices } from '../../lib/fleet/change-queries.ts';
import { NewDevice } from '../../lib/fleet/new-device.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { cancelUpdate } from '../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../support/database.ts';
import { actor, givenFirmware, registeredLongAgo, silentLog, TestClock } from '../support/fixtures.ts';
import { type Call, call, createIdentity } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { createUpdateApi } from '../support/update-api.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const { authenticate, token } = identity;
const api = await createUpdateApi(db, identity);
const writer = await token({ scopes: ['devices:write'], subject: 'admin' });
const reader = await token({ scopes: ['read'] });
const deps = { db, advances: new InMemoryQueue<AdvanceMessage>(), authenticate, log: silentLog, now: new TestClock().now };

type Answer = Record<string, unknown> & { code: string; items: { external_id: string; name: string }[]; next_cursor: string | null };
const write = (method: string, path: string, body?: unknown, more: Partial<Call> = {}) =>
  call<Answer>(createEditFleet(deps), { method, path, token: writer, ...(body !== undefined && { body }), ...more });
const read = (path: string, more: Partial<Call> = {}) =>
  call<Answer>(createGetFleet(deps), { method: 'GET', path, token: reader, ...more });
const named = (name: string) => ({ pathParameters: { name } });
const audit = () => db.selectFrom('audit_lines').select(['action', 'resource', 'resource_id']).orderBy('id').execute();

const night = { name: 'night', filter: { kind: 'scooter', tags: { all: ['night'] } } };
const scooters = (tags: string[][]) =>
  upsertDevices(
    db,
    tags.map((own, i) => NewDevice.parse({ kind: 'scooter', external_id: `S-${i}`, version: 1, tags: own })),
    registeredLongAgo,
  );

beforeEach(async () => {
  await sql`TRUNCATE devices, groups, audit_lines, updates, update_executions, update_exclusions CASCADE`.execute(db);
  await scooters([['night'], [], ['night', 'old'], ['night']]);
});

describe('groups', () => {
  it('201: added; 200: the same again; 409: another one of that name', async () => {
    expect(await write('POST', '/v1/groups', night)).toMatchObject({ statusCode: 201, body: { ...night, comment: '' } });
    expect(await write('POST', '/v1/groups', night)).toMatchObject({ statusCode: 200, body: night });
    expect(await write('POST', '/v1/groups', { ...night, filter: {} })).toMatchObject({ statusCode: 409, body: { code: 'group.exists' } });
    expect(await audit()).toEqual([{ action: 'add', resource: 'group', resource_id: 'night' }]);
  });

  it('400: a filter that names what does not exist, or a sample, which is one of an update', async () => {
    expect(await write('POST', '/v1/groups', { ...night, filter: { zone: 'nowhere' } })).toMatchObject({
      statusCode: 400,
      body: { errors: [{ path: 'filter.zone' }] },
    });
    expect(await write('POST', '/v1/groups', { ...night, filter: { percentage: 5 } })).toMatchObject({ statusCode: 400 });
  });

  it('200: members are counted, and listed page by page; retired ones are none', async () => {
    await write('POST', '/v1/groups', night);
    await db.updateTable('devices').set({ retired_dt: new Date() }).where('external_id', '=', 'S-3').execute();
    expect(await read('/v1/groups/{name}', named('night'))).toMatchObject({ statusCode: 200, body: { ...night, devices: 2 } });
    const first = await read('/v1/groups/{name}/devices', { ...named('night'), query: { limit: '1' } });
    expect(first.body.items.map(({ external_id }) => external_id)).toEqual(['S-0']);
    const cursor = first.body.next_cursor ?? '';
    const second = await read('/v1/groups/{name}/devices', { ...named('night'), query: { limit: '1', cursor } });
    expect(second.body).toMatchObject({ items: [{ external_id: 'S-2' }], next_cursor: null });
    expect((await read('/v1/groups')).body.items.map(({ name }) => name)).toEqual(['night']);
  });

  it('200: a changed filter means other devices from then on', async () => {
    await write('POST', '/v1/groups', night);
    const filter = { tags: { all: ['old'] } };
    expect(await write('PATCH', '/v1/groups/{name}', { filter }, named('night'))).toMatchObject({ statusCode: 200, body: { filter } });
    expect(await read('/v1/groups/{name}', named('night'))).toMatchObject({ body: { devices: 1 } });
    expect(await write('PATCH', '/v1/groups/{name}', { comment: 'x' }, named('nobody'))).toMatchObject({ statusCode: 404 });
  });

  it('202: is the target of an update, with the members that it has when that is requested; a sample of it is never empty', async () => {
    await write('POST', '/v1/groups', night);
    const firmware = await givenFirmware(db);
    const dryRun = await api.create({ firmware_id: firmware.id, targets: { group: 'night' }, dry_run: true });
    expect(dryRun).toMatchObject({ statusCode: 200, body: { eligible: 3 } });
    const sample = await api.create({ firmware_id: firmware.id, targets: { group: 'night', percentage: 1 }, dry_run: true });
    expect(sample).toMatchObject({ statusCode: 200, body: { eligible: 1 } });
    const update = await api.create({ firmware_id: firmware.id, targets: { group: 'night' } });
    expect(update).toMatchObject({ statusCode: 202, body: { counts: { QUEUED: 3 } } });
    await write('PATCH', '/v1/groups/{name}', { filter: {} }, named('night'));
    expect(await db.selectFrom('update_executions').select('id').execute()).toHaveLength(3);
    expect(await api.create({ firmware_id: firmware.id, targets: { group: 'nobody' } })).toMatchObject({
      statusCode: 400,
      body: { errors: [{ path: 'targets.group', message: 'there is no group nobody' }] },
    });
  });

  it('204: is deleted, but 409 while a continuous update that is open takes its devices from it', async () => {
    await write('POST', '/v1/groups', night);
    const firmware = await givenFirmware(db);
    const { body } = await api.create({ firmware_id: firmware.id, targets: { group: 'night' }, continuous: true });
    expect(await write('DELETE', '/v1/groups/{name}', undefined, named('night'))).toMatchObject({
      statusCode: 409,
      body: { code: 'group.in_use' },
    });
    await cancelUpdate(deps, body.id, { force: false, reason: null }, actor);
    expect(await write('DELETE', '/v1/groups/{name}', undefined, named('night'))).toMatchObject({ statusCode: 204 });
    expect(await read('/v1/groups/{name}', named('night'))).toMatchObject({ statusCode: 404 });
    const ofGroup = (await audit()).filter(({ resource }) => resource === 'group');
    expect(ofGroup.map(({ action }) => action)).toEqual(['add', 'delete']);
  });
});
