import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler as createEditFleet } from '../../functions/edit-fleet/handler.ts';
import { createHandler as createGetDevices } from '../../functions/get-device-versions/handler.ts';
import { createHandler as createGetFleet } from '../../functions/get-fleet/handler.ts';
import { createHandler as createGetStats } from '../../functions/get-stats/handler.ts';
import { createHandler as createListDevices } from '../../functions/list-devices/handler.ts';
import { createHandler as createRegisterDevices } from '../../functions/register-devices/handler.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, silentLog, TestClock } from '../support/fixtures.ts';
import { type Call, call, createIdentity } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const writer = await token({ scopes: ['devices:write'], subject: 'admin' });
const reader = await token({ scopes: ['read'] });
const clock = new TestClock();
const deps = { db, advances: new InMemoryQueue<AdvanceMessage>(), authenticate, log: silentLog, now: clock.now };
const editFleet = createEditFleet(deps);
const getFleet = createGetFleet(deps);

interface Problem {
  code: string;
  errors: { path: string; message: string }[];
}
type Answer = Record<string, unknown> & Problem;
const write = (method: string, path: string, body?: unknown, more: Partial<Call> = {}) =>
  call<Answer>(editFleet, { method, path, token: writer, ...(body !== undefined && { body }), ...more });
const read = (path: string, more: Partial<Call> = {}) => call<Answer>(getFleet, { method: 'GET', path, token: reader, ...more });
const addZone = (body: object) => write('POST', '/v1/zones', body);
const zonePath = (name: string) => ({ pathParameters: { name } });
const devicePath = (external_id: string, kind = 'scooter') => ({ pathParameters: { kind, external_id } });
const change = (external_id: string, body: object, kind = 'scooter') =>
  write('PATCH', '/v1/devices/{kind}/{external_id}', body, devicePath(external_id, kind));
const register = (devices: object[], more: object = {}) =>
  call<Answer>(createRegisterDevices(deps), { method: 'PUT', path: '/v1/devices', token: writer, body: { devices, ...more } });
const getScooter = async (external_id: string) =>
  (
    await call<Answer>(createGetDevices(deps), {
      ...{ method: 'GET', path: '/v1/scooters/{external_id}', pathParameters: { external_id }, token: reader },
    })
  ).body;
const place = async (external_id: string) => {
  const { zone, tags, revision } = await getScooter(external_id);
  return { zone, tags, revision };
};
const audit = () => db.selectFrom('audit_lines').select(['caller', 'action', 'resource', 'resource_id', 'outcome']).orderBy('id').execute();

const north = { name: 'north', time_zone: 'Europe/Moscow' };

beforeEach(async () => {
  await sql`TRUNCATE devices, zones, audit_lines, device_seen_counts, device_firmware_counts CASCADE`.execute(db);
});

describe('POST /v1/zones', () => {
  it('201: a zone with defaults: its whole budget, no window, no device', async () => {
    expect(await addZone(north)).toMatchObject({
      statusCode: 201,
      body: { ...north, maximum_unavailable_percentage: 100, maintenance_window: null, comment: '', devices: 0 },
    });
    expect(await read('/v1/zones/{name}', zonePath('north'))).toMatchObject({ statusCode: 200, body: north });
  });

  it('201: a zone with a budget and a window across midnight on two days', async () => {
    const maintenance_window = { from: '23:00', until: '05:00', days: ['friday', 'saturday'] };
    const zone = { ...north, maximum_unavailable_percentage: 2.5, maintenance_window, comment: 'the city' };
    expect(await addZone(zone)).toMatchObject({ statusCode: 201, body: zone });
  });

  it('200: the same again changes nothing, and writes no second line of the audit', async () => {
    await addZone(north);
    expect(await addZone(north)).toMatchObject({ statusCode: 200, body: north });
    expect(await audit()).toMatchObject([{ caller: 'admin', action: 'add', resource: 'zone', resource_id: 'north' }]);
  });

  it('409: another zone of that name, which is shown', async () => {
    await addZone(north);
    expect(await addZone({ ...north, time_zone: 'Asia/Jerusalem' })).toMatchObject({
      statusCode: 409,
      body: { code: 'zone.exists', zone: { time_zone: 'Europe/Moscow' } },
    });
  });

  it.each([
    ['a time zone that there is not', { time_zone: 'Europe/Atlantis' }, 'time_zone'],
    ['an offset, which knows no summer time', { time_zone: '+03:00' }, 'time_zone'],
    ['a budget of nothing', { maximum_unavailable_percentage: 0 }, 'maximum_unavailable_percentage'],
    ['a budget of more than all', { maximum_unavailable_percentage: 101 }, 'maximum_unavailable_percentage'],
    ['a name that stands for no zone', { name: 'none' }, 'name'],
    ['a name with capital letters', { name: 'North' }, 'name'],
    ['a window that ends when it begins', { maintenance_window: { from: '02:00', until: '02:00' } }, 'maintenance_window.until'],
    ['a window at an hour that there is not', { maintenance_window: { from: '24:00', until: '05:00' } }, 'maintenance_window.from'],
    ['a window on no day', { maintenance_window: { from: '02:00', until: '05:00', days: [] } }, 'maintenance_window.days'],
    [
      'a window on a day twice',
      { maintenance_window: { from: '02:00', until: '05:00', days: ['monday', 'monday'] } },
      'maintenance_window.days',
    ],
  ])('400: %s', async (_, wrong, path) => {
    const answer = await addZone({ ...north, ...wrong });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid', errors: [{ path }] } });
    expect(await audit()).toEqual([]);
  });
});

describe('GET /v1/zones', () => {
  it('200: in the order of their names, page by page', async () => {
    for (const name of ['north', 'centre', 'a.b', 'a_b', 'south']) await addZone({ ...north, name });
    const names = async (query: Record<string, string>) => {
      const { body } = await read('/v1/zones', { query });
      return { names: (body['items'] as { name: string }[]).map(({ name }) => name), cursor: body['next_cursor'] as string };
    };
    const first = await names({ limit: '3' });
    expect(first.names).toEqual(['a.b', 'a_b', 'centre']);
    expect(await names({ limit: '3', cursor: first.cursor })).toEqual({ names: ['north', 'south'], cursor: null });
  });

  it('404: a zone that there is not', async () => {
    expect(await read('/v1/zones/{name}', zonePath('north'))).toMatchObject({ statusCode: 404, body: { code: 'zone.not_found' } });
  });
});

describe('PATCH /v1/zones/{name}', () => {
  it('200: what is not named stays as it is; the audit says what it was and what it is', async () => {
    await addZone({ ...north, comment: 'the city' });
    const answer = await write('PATCH', '/v1/zones/{name}', { maximum_unavailable_percentage: 5 }, zonePath('north'));
    expect(answer).toMatchObject({ statusCode: 200, body: { ...north, comment: 'the city', maximum_unavailable_percentage: 5 } });
    expect((await audit()).at(-1)).toMatchObject({
      action: 'change',
      resource_id: 'north',
      outcome: { before: { maximum_unavailable_percentage: 100 }, after: { maximum_unavailable_percentage: 5 } },
    });
  });

  it('200: what is so already is no change', async () => {
    await addZone(north);
    expect(await write('PATCH', '/v1/zones/{name}', { time_zone: 'Europe/Moscow' }, zonePath('north'))).toMatchObject({ statusCode: 200 });
    expect(await audit()).toHaveLength(1);
  });

  it('404 for a zone that there is not, 400 for nothing', async () => {
    expect(await write('PATCH', '/v1/zones/{name}', { comment: 'x' }, zonePath('north'))).toMatchObject({ statusCode: 404 });
    expect(await write('PATCH', '/v1/zones/{name}', {}, zonePath('north'))).toMatchObject({ statusCode: 400 });
  });
});

describe('DELETE /v1/zones/{name}', () => {
  it('204: one without devices is gone; 409: one with a device stays', async () => {
    await addZone(north);
    await register([{ kind: 'scooter', external_id: 'S-1', version: 1, zone: 'north' }]);
    expect(await write('DELETE', '/v1/zones/{name}', undefined, zonePath('north'))).toMatchObject({
      statusCode: 409,
      body: { code: 'zone.in_use' },
    });
    await change('S-1', { zone: null });
    expect(await write('DELETE', '/v1/zones/{name}', undefined, zonePath('north'))).toMatchObject({ statusCode: 204 });
    expect(await write('DELETE', '/v1/zones/{name}', undefined, zonePath('north'))).toMatchObject({ statusCode: 404 });
    expect((await audit()).map(({ action }) => action)).toEqual(['add', 'register', 'change', 'delete']);
  });
});

describe('PUT /v1/devices', () => {
  const scooter = { kind: 'scooter', external_id: 'S-1', version: 1 };
  beforeEach(async () => {
    await addZone(north);
  });

  it('200: takes zone, tags and revision; absent: unchanged; null: taken away', async () => {
    await register([{ ...scooter, zone: 'north', tags: ['night', 'centre'], revision: 'B2' }]);
    expect(await place('S-1')).toEqual({ zone: 'north', tags: ['centre', 'night'], revision: 'B2' });
    expect((await register([scooter])).body).toMatchObject({ created: 0, changed: 0, unchanged: 1 });
    expect(await place('S-1')).toEqual({ zone: 'north', tags: ['centre', 'night'], revision: 'B2' });
    expect((await register([{ ...scooter, tags: null }])).body).toMatchObject({ changed: 1 });
    expect(await place('S-1')).toEqual({ zone: 'north', tags: [], revision: 'B2' });
    expect((await register([{ ...scooter, zone: null, revision: null }])).body).toMatchObject({ changed: 1 });
    expect(await place('S-1')).toEqual({ zone: null, tags: [], revision: null });
  });

  it('400: a zone that there is not is named, and nothing is stored', async () => {
    const answer = await register([scooter, { ...scooter, external_id: 'S-2', zone: 'south' }]);
    expect(answer).toMatchObject({
      statusCode: 400,
      body: { errors: [{ path: 'devices.1.zone', message: 'there is no zone south' }] },
    });
    expect(await db.selectFrom('devices').select('id').execute()).toEqual([]);
    expect((await audit()).map(({ action }) => action)).toEqual(['add']);
  });

  it('200: with partial, it is refused by itself', async () => {
    const answer = await register([scooter, { ...scooter, external_id: 'S-2', zone: 'south' }], { partial: true });
    expect(answer).toMatchObject({ statusCode: 200, body: { created: 1, refused_count: 1, refused: [{ index: 1, external_id: 'S-2' }] } });
  });

  it('400: 21 tags, a tag twice, a tag that is no word', async () => {
    for (const tags of [Array.from({ length: 21 }, (_, i) => `tag-${i}`), ['a', 'a'], ['Night shift']]) {
      expect(await register([{ ...scooter, tags }])).toMatchObject({ statusCode: 400 });
    }
  });

  it('200: a call that changes nothing leaves no line in the audit, another one a line for all its devices', async () => {
    await register([scooter]);
    await register([scooter]);
    expect((await audit()).slice(1)).toEqual([
      { caller: 'admin', action: 'register', resource: 'device', resource_id: null, outcome: { created: 1, changed: 0 } },
    ]);
  });
});

describe('PATCH /v1/devices/{kind}/{external_id}', () => {
  beforeEach(async () => {
    await addZone(north);
    await register([{ kind: 'scooter', external_id: 'S-1', version: 1, tags: ['a'] }]);
  });

  it('200: changes one device in what is named, and shows it as every other answer does', async () => {
    const { statusCode, body } = await change('S-1', { zone: 'north', revision: 'B2', version: 2 });
    expect(statusCode).toBe(200);
    expect(body).toMatchObject({ external_id: 'S-1', zone: 'north', revision: 'B2', version: 2, tags: ['a'], channel: 'telematics' });
    expect(await getScooter('S-1')).toMatchObject(body);
    const list = await call<{ items: unknown[] }>(createListDevices(deps), { method: 'GET', path: '/v1/devices', token: reader });
    expect(list.body.items).toEqual([body]);
    const looked = await call<{ items: unknown[] }>(createGetDevices(deps), {
      ...{ method: 'POST', path: '/v1/devices/lookup', token: reader, body: { external_ids: ['S-1'] } },
    });
    expect(looked.body.items).toEqual([body]);
    expect((await audit()).at(-1)).toEqual({
      ...{ caller: 'admin', action: 'change', resource: 'device', resource_id: 'scooter/S-1' },
      outcome: { before: { zone: null, revision: null, version: 1 }, after: { zone: 'north', revision: 'B2', version: 2 } },
    });
  });

  it('404 and 400: a device, or a zone, that there is not; a version of a cabinet; nothing at all', async () => {
    await register([{ kind: 'cabinet', external_id: 'C-1' }]);
    expect(await change('S-2', { revision: 'x' })).toMatchObject({ statusCode: 404, body: { code: 'device.not_found' } });
    expect(await change('S-1', { zone: 'south' })).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'zone' }] } });
    expect(await change('C-1', { version: 1 }, 'cabinet')).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'version' }] } });
    expect(await change('S-1', {})).toMatchObject({ statusCode: 400 });
    expect((await audit()).map(({ action }) => action)).toEqual(['add', 'register', 'register']);
  });
});

describe('POST /v1/devices/tags', () => {
  const tag = (body: object) => write('POST', '/v1/devices/tags', body);
  beforeEach(async () => {
    await register([
      { kind: 'scooter', external_id: 'S-1', version: 1, tags: ['a', 'old'] },
      { kind: 'scooter', external_id: 'S-2', version: 1 },
      { kind: 'scooter', external_id: 'S-3', version: 1, tags: ['a', 'b'] },
    ]);
  });

  it('200: adds and takes away on all devices that are named, and says which are nobody’s', async () => {
    const answer = await tag({ external_ids: ['S-1', 'S-2', 'S-3', 'S-9', 'S-9'], add: ['b', 'a'], remove: ['old'] });
    expect(answer).toMatchObject({ statusCode: 200, body: { changed: 2, unchanged: 1, unknown: ['S-9'] } });
    for (const external_id of ['S-1', 'S-2', 'S-3']) expect(await place(external_id)).toMatchObject({ tags: ['a', 'b'] });
  });

  it('200: a filter means the devices in service of its kind; what it changes leaves one line in the audit, with the filter', async () => {
    await register([{ kind: 'cabinet', external_id: 'C-1', tags: ['a'] }]);
    const answer = await tag({ filter: { tags: { all: ['a'] } }, add: ['hot'], remove: ['a'] });
    expect(answer).toMatchObject({ statusCode: 200, body: { changed: 2, unchanged: 0, unknown: [], has_more: false } });
    expect(await place('S-1')).toMatchObject({ tags: ['hot', 'old'] });
    expect(await place('S-2')).toMatchObject({ tags: [] });
    expect((await audit()).at(-1)).toMatchObject({
      ...{ action: 'tag', resource: 'device', resource_id: null },
      outcome: { changed: 2, add: ['hot'], remove: ['a'], filter: { kind: 'scooter', tags: { all: ['a'] } } },
    });
    expect(await tag({ filter: { zone: 'nowhere' }, add: ['x'] })).toMatchObject({
      statusCode: 400,
      body: { errors: [{ path: 'filter.zone' }] },
    });
    expect(await tag({ filter: {}, external_ids: ['S-1'], add: ['x'] })).toMatchObject({ statusCode: 400 });
  });

  it('200: the same again changes nothing and leaves no line in the audit', async () => {
    const request = { external_ids: ['S-1'], add: ['b'] };
    await tag(request);
    expect(await tag(request)).toMatchObject({ body: { changed: 0, unchanged: 1 } });
    expect((await audit()).map(({ action }) => action)).toEqual(['register', 'tag']);
  });

  it('409: none is changed when one of them would have 21', async () => {
    await register([{ kind: 'scooter', external_id: 'S-2', version: 1, tags: Array.from({ length: 20 }, (_, i) => `tag-${i}`) }]);
    expect(await tag({ external_ids: ['S-1', 'S-2'], add: ['one-more'] })).toMatchObject({
      statusCode: 409,
      body: { code: 'device.too_many_tags' },
    });
    expect(await place('S-1')).toMatchObject({ tags: ['a', 'old'] });
  });

  it('400: no tag at all, or one that is to be added and taken away', async () => {
    expect(await tag({ external_ids: ['S-1'] })).toMatchObject({ statusCode: 400 });
    expect(await tag({ external_ids: ['S-1'], add: ['x'], remove: ['x'] })).toMatchObject({ statusCode: 400 });
  });

  it('many calls about the same devices at one moment, in opposite orders, lose no tag', async () => {
    const external_ids = ['S-1', 'S-2', 'S-3'];
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => tag({ external_ids: i % 2 ? external_ids : external_ids.toReversed(), add: [`t-${i}`] })),
    );
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
    expect(await place('S-2')).toMatchObject({ tags: Array.from({ length: 8 }, (_, i) => `t-${i}`) });
  });
});

describe('GET /v1/stats', () => {
  it('200: devices per zone and version, wherever they move', async () => {
    await addZone(north);
    await addZone({ ...north, name: 'south' });
    const scooter = (n: number, zone: string | null) => ({ kind: 'scooter', external_id: `S-${n}`, version: 1, zone });
    await register([scooter(1, 'north'), scooter(2, 'north'), scooter(3, 'south'), scooter(4, null)]);
    await confirmUpdate(
      { db, now: clock.now },
      [1, 2, 3, 4].map((n) => confirmation({ external_id: `S-${n}`, version: n === 1 ? '1.0' : '2.0' })),
    );
    await change('S-2', { zone: 'south' });
    await register([scooter(4, 'south')]);
    const { body } = await call<{ zones: unknown }>(createGetStats(deps), { method: 'GET', path: '/v1/stats', token: reader });
    const none = { devices: 0, versions: 0 };
    const mcu = (devices: number, versions: object[]) => [{ hardware_type: 'vega_mcu', devices, versions, other_versions: none }];
    expect(body.zones).toEqual([
      {
        zone: 'north',
        devices: [{ kind: 'scooter', devices: 1, not_seen: 0 }],
        hardware_types: mcu(1, [{ version: '1.0', devices: 1 }]),
      },
      {
        zone: 'south',
        devices: [{ kind: 'scooter', devices: 3, not_seen: 0 }],
        hardware_types: mcu(3, [{ version: '2.0', devices: 3 }]),
      },
    ]);
    expect(await read('/v1/zones/{name}', zonePath('south'))).toMatchObject({ body: { devices: 3 } });
  });
});
