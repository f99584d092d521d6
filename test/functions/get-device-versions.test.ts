import { beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../dev/stack/free-port.ts';
import { createHandler } from '../../functions/get-device-versions/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import type { Device } from '../../lib/fleet/shown-device.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, givenFirmware, silentLog, startOfTime, TestClock } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';

const { db, takeStatements } = await createTestDatabase();
const identity = await createIdentity();
const { authenticate } = identity;
const token = await identity.token({ scopes: ['read'] });
const handler = createHandler({ db, authenticate, log: silentLog });

type Kind = 'scooter' | 'cabinet';
const get = (kind: Kind, external_id: string, request: { token?: string } = { token }) =>
  call<Device & { code: string; errors: { path: string }[] }>(handler, {
    method: 'GET',
    path: `/v1/${kind}s/{external_id}`,
    pathParameters: { external_id },
    ...request,
  });
const lookUp = (body: unknown) =>
  call<{ items: Device[]; unknown: string[]; errors: { path: string }[] }>(handler, {
    method: 'POST',
    path: '/v1/devices/lookup',
    token,
    body,
  });
const report = (...reports: Parameters<typeof confirmation>[0][]) =>
  confirmUpdate({ db, now: new TestClock().now }, reports.map(confirmation));
const givenDevice = async (device: Parameters<typeof givenDevices>[2] = {}) => (await givenDevices(db, 1, device))[0] ?? '';

beforeEach(() => {
  takeStatements();
});

describe('GET /v1/scooters/{external_id}', () => {
  it('200: iot is the id of the yandex_iot firmware that it runs, and null where it runs none that is known', async () => {
    const { id, version } = await givenFirmware(db, { hardware_type: 'yandex_iot' });
    const knows = await givenDevice({ version: null });
    const knowsNot = await givenDevice({ version: null });
    const old = await givenDevice({ version: 2 });
    await report(
      { external_id: knows, hardware_type: 'yandex_iot', version },
      { external_id: knowsNot, hardware_type: 'yandex_iot', version: 'in no catalogue' },
    );
    const iotOf = async (external_id: string) => (await get('scooter', external_id)).body;
    expect(await iotOf(knows)).toMatchObject({ iot: id, channel: 'iot' });
    expect(await iotOf(knowsNot)).toMatchObject({ iot: null, channel: 'iot' });
    expect(await iotOf(old)).toMatchObject({ iot: null, channel: 'telematics' });
  });
});

describe('times of what a device runs', () => {
  it('200: have three digits of a second, whatever these are, as all other times', async () => {
    const external_id = await givenDevice();
    const told = {
      audio_lock: '2026-01-02T03:04:05.000Z',
      audio_locate: '2026-01-02T03:04:05.500Z',
      vega_gsm: '2026-01-02T03:04:05.120Z',
      vega_mcu: '2026-12-31T23:59:59.007Z',
    };
    const now = () => new Date('2027-01-01T00:00:00Z');
    const reports = Object.entries(told).map(([hardware_type, time]) =>
      confirmation({ external_id, hardware_type, version: '1', occurred_dt: new Date(time) }),
    );
    await confirmUpdate({ db, now }, reports);
    const timesOf = ({ firmwares }: Device) =>
      Object.fromEntries(
        firmwares.map(({ hardware_type, observed_dt, firmware_update_dt }) => [hardware_type, [observed_dt, firmware_update_dt]]),
      );
    const expected = Object.fromEntries(Object.entries(told).map(([type, time]) => [type, [time, time]]));
    expect(timesOf((await get('scooter', external_id)).body)).toEqual(expected);
    expect((await lookUp({ external_ids: [external_id] })).body.items.map(timesOf)).toEqual([expected]);
  });
});

describe.each<Kind>(['scooter', 'cabinet'])('GET /v1/%ss/{external_id}', (kind) => {
  it('200: a device of which nothing is known yet, in one statement', async () => {
    const external_id = await givenDevice({ kind });
    takeStatements();
    const channel = kind === 'scooter' ? 'telematics' : 'iot';
    expect(await get(kind, external_id)).toMatchObject({
      statusCode: 200,
      body: { kind, external_id, version: kind === 'scooter' ? 1 : null, channel, created_dt: '2024-01-01T00:00:00.000Z', firmwares: [] },
    });
    expect(takeStatements()).toHaveLength(1);
  });

  it('404: an id that is nobody’s, or a device of the other kind', async () => {
    const other = await givenDevice({ kind: kind === 'scooter' ? 'cabinet' : 'scooter' });
    for (const external_id of ['nobody', other, other.toLowerCase(), 'NULL', '-1']) {
      expect(await get(kind, external_id)).toMatchObject({ statusCode: 404, body: { code: 'device.not_found' } });
    }
  });

  it.each(["'%20OR%20'1'='1", 'a%2Fb', '%00', 'S-1%0A', '%E0%A4%A', '{S-1}', 'x'.repeat(129), '', '../updates'])(
    '400: %j is no external id, and the database is not asked',
    async (external_id) => {
      const answer = await get(kind, external_id);
      expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
      expect(new Set(answer.body.errors.map(({ path }) => path))).toEqual(new Set(['external_id']));
      expect(takeStatements()).toEqual([]);
    },
  );

  it('401 and 403: without a token, and with one that may not read', async () => {
    const external_id = await givenDevice({ kind });
    expect(await get(kind, external_id, {})).toMatchObject({ statusCode: 401 });
    expect(await get(kind, external_id, { token: await identity.token({ scopes: ['devices:write'] }) })).toMatchObject({ statusCode: 403 });
  });
});

describe('what a device runs', () => {
  it('200: a row per hardware type, with the version’s ordinal and whether there is a newer one', async () => {
    const old = await givenFirmware(db, { hardware_type: 'vega_gsm', version: 'gsm-1' });
    await givenFirmware(db, { hardware_type: 'vega_gsm', version: 'gsm-2' });
    const newest = await givenFirmware(db, { hardware_type: 'audio_lock', version: 'lock-1' });
    const external_id = await givenDevice({ version: 2 });
    await report(
      { external_id, hardware_type: 'vega_gsm', version: 'gsm-1' },
      { external_id, hardware_type: 'audio_lock', version: 'lock-1' },
      { external_id, hardware_type: 'vega_mcu', version: 'made at home' },
    );
    takeStatements();
    const { body } = await get('scooter', external_id);
    expect(takeStatements()).toHaveLength(1);
    const seen = {
      firmware_update_dt: '2026-11-24T08:00:00.000Z',
      firmware_update_time: null,
      observed_dt: '2026-11-24T08:00:00.000Z',
      source: 'confirmation',
    };
    expect(body.firmwares).toEqual([
      { hardware_type: 'audio_lock', firmware_id: newest.id, version: 'lock-1', version_num: 1, is_newest: true, ...seen },
      { hardware_type: 'vega_gsm', firmware_id: old.id, version: 'gsm-1', version_num: 1, is_newest: false, ...seen },
      { hardware_type: 'vega_mcu', firmware_id: null, version: 'made at home', version_num: null, is_newest: false, ...seen },
    ]);
  });

  it('200: the newest one that can be had counts: one withdrawn since is not newer', async () => {
    await givenFirmware(db, { hardware_type: 'audio_locate', version: 'locate-1' });
    const withdrawn = await givenFirmware(db, { hardware_type: 'audio_locate', version: 'locate-2' });
    const external_id = await givenDevice();
    await report({ external_id, hardware_type: 'audio_locate', version: 'locate-1' });
    const isNewest = async () => (await get('scooter', external_id)).body.firmwares[0]?.is_newest;
    expect(await isNewest()).toBe(false);
    await db.updateTable('firmwares').set({ status: 'withdrawn' }).where('id', '=', withdrawn.id).execute();
    expect(await isNewest()).toBe(true);
  });

  it('200: a version reported before it came into the catalogue is known by its id afterwards', async () => {
    const external_id = await givenDevice();
    await report({ external_id, hardware_type: 'audio_unlock', version: 'unlock-1' });
    const { id } = await givenFirmware(db, { hardware_type: 'audio_unlock', version: 'unlock-1' });
    await report({ external_id, hardware_type: 'audio_unlock', version: 'unlock-1', occurred_dt: new Date(startOfTime.getTime() + 1_000) });
    expect((await get('scooter', external_id)).body.firmwares).toMatchObject([{ firmware_id: id, version_num: 1 }]);
  });
});

describe('POST /v1/devices/lookup', () => {
  it('200: known devices in the order of their ids, unknown ids once each in the order asked for', async () => {
    const [b = '', a = ''] = (await givenDevices(db, 2)).sort().reverse();
    const { statusCode, body } = await lookUp({ kind: 'scooter', external_ids: ['zz', b, 'aa', a, b, 'zz'] });
    expect(statusCode).toBe(200);
    expect(body.items.map(({ external_id }) => external_id)).toEqual([a, b]);
    expect(body.unknown).toEqual(['zz', 'aa']);
  });

  it('200: asks for scooters unless told, and never answers a device of the other kind', async () => {
    const cabinet = await givenDevice({ kind: 'cabinet' });
    expect((await lookUp({ external_ids: [cabinet] })).body).toEqual({ items: [], unknown: [cabinet] });
    expect((await lookUp({ kind: 'cabinet', external_ids: [cabinet] })).body.items).toHaveLength(1);
  });

  it('200: 1,000 devices in one statement, each with all it runs', async () => {
    const external_ids = await givenDevices(db, 1_000);
    await report(...external_ids.map((external_id) => ({ external_id, version: '0.9' })));
    takeStatements();
    const { body } = await lookUp({ external_ids });
    expect(takeStatements()).toHaveLength(1);
    expect(body.items).toHaveLength(1_000);
    expect(body.unknown).toEqual([]);
    expect(new Set(body.items.map(({ firmwares }) => firmwares[0]?.version))).toEqual(new Set(['0.9']));
  });

  it('200: 1,000 of the longest ids fit into the body', async () => {
    const external_ids = Array.from({ length: 1_000 }, (_, i) => String(i).padStart(128, 'x'));
    expect((await lookUp({ kind: 'scooter', external_ids })).body.unknown).toHaveLength(1_000);
  });

  it.each<[string, unknown, string[]]>([
    ['1,001 ids', { external_ids: Array.from({ length: 1_001 }, (_, i) => `S-${i}`) }, ['external_ids']],
    ['no ids', { external_ids: [] }, ['external_ids']],
    ['an id that is none', { external_ids: ['S-1', "x' OR 1=1"] }, ['external_ids.1']],
    ['numbers', { external_ids: [1, 2] }, ['external_ids.0', 'external_ids.1']],
    ['text instead of a list', { external_ids: 'S-1' }, ['external_ids']],
    ['unknown fields and another kind', { kind: 'all', external_ids: ['S-1'], history: true }, ['history', 'kind']],
    ['nothing', {}, ['external_ids']],
  ])('400: %s', async (_, body, paths) => {
    const answer = await lookUp(body);
    expect(answer.statusCode).toBe(400);
    expect([...new Set(answer.body.errors.map(({ path }) => path))].sort()).toEqual(paths);
    expect(takeStatements()).toEqual([]);
  });

  it('401, 403, 413 and 415: without a token, without the scope, too large, and in another format', async () => {
    const request = { method: 'POST', path: '/v1/devices/lookup', body: { external_ids: ['S-1'] } };
    expect(await call(handler, request)).toMatchObject({ statusCode: 401 });
    expect(await call(handler, { ...request, token: await identity.token({ scopes: ['updates:write'] }) })).toMatchObject({
      statusCode: 403,
    });
    expect(await lookUp({ external_ids: ['x'.repeat(256 * 1024)] })).toMatchObject({ statusCode: 413 });
    expect(await call(handler, { ...request, token, headers: { 'content-type': 'text/plain' } })).toMatchObject({ statusCode: 415 });
  });
});

it('503: every route, while the database is down', async () => {
  const down = createDatabase({ url: `postgres://x:x@127.0.0.1:${await freePort()}/x`, maxConnections: 1 });
  const deaf = createHandler({ db: down, authenticate, log: silentLog });
  for (const request of [
    { method: 'GET', path: '/v1/scooters/{external_id}', pathParameters: { external_id: 'S-1' } },
    { method: 'GET', path: '/v1/cabinets/{external_id}', pathParameters: { external_id: 'C-1' } },
    { method: 'POST', path: '/v1/devices/lookup', body: { external_ids: ['S-1'] } },
  ]) {
    expect(await call(deaf, { ...request, token })).toMatchObject({ statusCode: 503, headers: { 'retry-after': '2' } });
  }
  await down.destroy();
});
