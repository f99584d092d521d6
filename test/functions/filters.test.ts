import { expect, it } from 'vitest';
import { createHandler as createGetAssemblies } from '../../functions/get-assemblies/handler.ts';
import { createHandler as createGetVersions } from '../../functions/get-versions/handler.ts';
import { createHandler as createListDevices } from '../../functions/list-devices/handler.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenFirmware, silentLog, TestClock } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';
import { InMemoryStorage } from '../support/in-memory-storage.ts';

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
      detail: 'The filter names what does not exist',
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
