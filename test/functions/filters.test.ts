import { describe, expect, it } from 'vitest';
import { createHandler as createGetAssemblies } from '../../functions/get-assemblies/handler.ts';
import { createHandler as createGetVersions } from '../../functions/get-versions/handler.ts';
import { createHandler as createListDevices } from '../../functions/list-devices/handler.ts';
import { createHandler as createObserve } from '../../functions/observe-versions/handler.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, givenFirmware, silentLog, TestClock } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';
import { InMemoryStorage } from '../support/in-memory-storage.ts';
import { createObservationWorld } from '../support/observations.ts';
import { createUpdateApi } from '../support/update-api.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const token = await identity.token({ scopes: ['read'] });
const { now } = new TestClock();
const deps = { db, now, authenticate: identity.authenticate, log: silentLog, storage: new InMemoryStorage(now) };

it.each([
  ['GET /v1/firmwares', createGetVersions(deps), { hardware_type: 'nothing' }],
  ['GET /v1/firmwares', createGetVersions(deps), { hardware_type: 'nothing', links: 'true' }],
  ['GET /v1/assemblies', createGetAssemblies(deps), { hardware_type: 'nothing' }],
  ['GET /v1/devices', createListDevices(deps), { unknown_version: 'nothing' }],
  ['GET /v1/devices', createListDevices(deps), { runs_firmware_id: '999' }],
  ['GET /v1/devices', createListDevices(deps), { older_than_firmware_id: '999' }],
])('400: %s names a condition about what does not exist: %3$o', async (route, handler, query) => {
  const [method = '', path = ''] = route.split(' ');
  const answer = await call(handler, { method, path, token, query: { ...query } as Record<string, string> });
  const [name] = Object.keys(query);
  expect(answer).toMatchObject({
    statusCode: 400,
    body: {
      code: 'request.invalid',
      detail: 'The filter names something that does not exist',
      errors: [{ in: 'query', path: name, message: expect.stringMatching(/^there is no (hardware type nothing|firmware 999)$/) }],
    },
  });
});

it('200: a condition about what exists and has nothing is an empty page', async () => {
  await givenFirmware(db);
  const list = (handler: ReturnType<typeof createGetVersions>, path: string, query: Record<string, string>) =>
    call(handler, { method: 'GET', path, token, query });
  expect(await list(createGetVersions(deps), '/v1/firmwares', { hardware_type: 'vega_gsm' })).toMatchObject({
    statusCode: 200,
    body: { items: [] },
  });
  expect(await list(createGetVersions(deps), '/v1/firmwares', { hardware_type: 'vega_mcu', version: 'none' })).toMatchObject({
    statusCode: 200,
    body: { items: [] },
  });
  expect(await list(createGetAssemblies(deps), '/v1/assemblies', { hardware_type: 'cabinet' })).toMatchObject({
    statusCode: 200,
    body: { items: [] },
  });
});

describe('the filter of a body', async () => {
  const api = await createUpdateApi(db, identity);
  const world = createObservationWorld(db);
  const observe = createObserve({ ...deps, ...world.deps, authenticate: identity.authenticate });
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    call(observe, { method: 'POST', path: '/v1/observations', token: api.token, body, headers });
  const rows = async (table: 'updates' | 'observations') =>
    (await db.selectFrom(table).select(db.fn.countAll<number>().as('n')).executeTakeFirstOrThrow()).n;

  const running = [
    [{ running: { hardware_type: 'nothing', version: '1' } }, 'running.hardware_type', 'there is no hardware type nothing'],
    [{ running: { hardware_type: 'constructor', version: '1' } }, 'running.hardware_type', 'there is no hardware type constructor'],
    [{ running: { hardware_type: 'vega_mcu', firmware_id: 999 } }, 'running.firmware_id', 'there is no firmware 999'],
  ] as const;
  const failed = [{ failed_in_update_id: 999 }, 'failed_in_update_id', 'there is no update 999'] as const;
  const refusal = (path: string, message: string) => ({
    statusCode: 400,
    body: {
      code: 'request.invalid',
      detail: 'The filter names something that does not exist',
      errors: [{ in: 'body', path: `targets.filter.${path}`, message }],
    },
  });

  it.each([...running, failed])('400: POST /v1/updates names a condition about what does not exist: %o', async (filter, path, message) => {
    const { id: firmware_id } = await givenFirmware(db);
    await givenDevices(db, 1);
    const before = await rows('updates');
    for (const dry_run of [undefined, true, { reason: 'ELIGIBLE' }]) {
      expect(await api.create({ firmware_id, targets: { filter }, dry_run })).toMatchObject(refusal(path, message));
    }
    expect(await rows('updates')).toBe(before);
  });

  it.each(running)('400: POST /v1/observations names a condition about what does not exist: %o', async (filter, path, message) => {
    const before = await rows('observations');
    expect(await post({ targets: { filter } })).toMatchObject(refusal(path, message));
    expect(await rows('observations')).toBe(before);
  });

  it('202: an observation again under its Idempotency-Key, also when what its filter names exists no more', async () => {
    await db
      .insertInto('hardware_types')
      .values({
        name: 'short',
        device_kind: 'cabinet',
        channel: 'telematics',
        scooter_versions: [],
        fits_own_iot: false,
        max_size_bytes: 5,
      })
      .execute();
    const body = { targets: { filter: { running: { hardware_type: 'short', version: '1' } } } };
    const first = await post(body, { 'idempotency-key': 'k' });
    expect(first).toMatchObject({ statusCode: 202, body: { devices_total: 0 } });
    await db.deleteFrom('hardware_types').where('name', '=', 'short').execute();
    expect(await post(body, { 'idempotency-key': 'k' })).toMatchObject({ statusCode: 202, body: first.body });
  });
});
