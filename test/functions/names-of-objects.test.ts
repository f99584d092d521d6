import { expect, it } from 'vitest';
import { createHandler as createConfirm } from '../../functions/confirm-update/handler.ts';
import { createHandler as createTypes } from '../../functions/edit-hardware-type/handler.ts';
import { createHandler as createGetDevices } from '../../functions/get-device-versions/handler.ts';
import { createHandler as createGetStats } from '../../functions/get-stats/handler.ts';
import { createHandler as createListDevices } from '../../functions/list-devices/handler.ts';
import { createHandler as createObserve } from '../../functions/observe-versions/handler.ts';
import { createHandler as createRegister } from '../../functions/register-devices/handler.ts';
import type { HttpHandler } from '../../lib/http/endpoint.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenFirmware, startOfTime } from '../support/fixtures.ts';
import { createIdentity, createRecordingLog, call as sendCall } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { createObservationWorld } from '../support/observations.ts';
import { createUpdateApi } from '../support/update-api.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const api = await createUpdateApi(db, identity);
const world = createObservationWorld(db);
const deps = { ...world.deps, authenticate: identity.authenticate, log: createRecordingLog() };

/** What every object has. The only hardware type among them is `constructor`: others have capital letters or begin with a line. */
const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'];
const hardware_type = 'constructor';

const call = (handler: HttpHandler, route: string, more: { body?: unknown; query?: Record<string, string>; external_id?: string } = {}) => {
  const [method = '', path = ''] = route.split(' ');
  const { external_id, ...request } = more;
  return sendCall(handler, { method, path, token: api.token, ...request, ...(external_id && { pathParameters: { external_id } }) });
};

it('devices, versions and hardware types that are called like what every object has are names like any other', async () => {
  const type = { name: hardware_type, device_kind: 'scooter', channel: 'telematics', scooter_versions: [1], max_size_bytes: 5_000 };
  expect(await call(createTypes(deps), 'POST /v1/hardware-types', { body: type })).toMatchObject({ statusCode: 201 });
  const firmware = await givenFirmware(db, { hardware_type });

  const devices = names.map((external_id) => ({ kind: 'scooter', external_id, version: 1 }));
  const register = (partial: boolean) =>
    call(createRegister({ ...deps, advances: new InMemoryQueue<AdvanceMessage>() }), 'PUT /v1/devices', { body: { devices, partial } });
  expect(await register(false)).toMatchObject({ statusCode: 200, body: { created: 5 } });
  expect(await register(true)).toMatchObject({ statusCode: 200, body: { unchanged: 5, refused_count: 0 } });

  const confirmations = names.map((name) => ({
    ...{ external_id: name, hardware_type, version: name, status: 'SUCCEEDED', occurred_dt: startOfTime },
  }));
  expect(await call(createConfirm(deps), 'POST /v1/confirmations', { body: { confirmations } })).toMatchObject({
    statusCode: 200,
    body: { outcomes: names.map(() => ({ outcome: 'stored' })) },
  });

  const unknown = ['propertyIsEnumerable', 'isPrototypeOf'];
  const shown = names.map((name) =>
    expect.objectContaining({ external_id: name, firmwares: [expect.objectContaining({ version: name })] }),
  );
  const lookUp = { body: { external_ids: [...names, ...unknown] } };
  expect(await call(createGetDevices(deps), 'POST /v1/devices/lookup', lookUp)).toMatchObject({
    statusCode: 200,
    body: { items: expect.arrayContaining(shown), unknown: expect.arrayContaining(unknown) },
  });
  for (const external_id of names) {
    expect(await call(createGetDevices(deps), 'GET /v1/scooters/{external_id}', { external_id })).toMatchObject({ body: { external_id } });
  }
  expect(await call(createListDevices(deps), 'GET /v1/devices', { query: { unknown_version: hardware_type } })).toMatchObject({
    body: { items: expect.arrayContaining(shown) },
  });
  const counted = expect.objectContaining({ hardware_type, devices: 5 });
  expect((await call(createGetStats(deps), 'GET /v1/stats')).body).toMatchObject({ hardware_types: expect.arrayContaining([counted]) });

  const targets = { external_ids: [...names, ...unknown] };
  expect(await api.create({ firmware_id: firmware.id, targets, dry_run: true })).toMatchObject({
    body: {
      eligible: 5,
      reasons: [
        { reason: 'ELIGIBLE_UNKNOWN_VERSION', devices: names.toSorted().map((external_id) => ({ external_id })) },
        { reason: 'UNKNOWN_DEVICE', count: 2 },
      ],
    },
  });
  expect(await api.create({ firmware_id: firmware.id, targets, canary: null })).toMatchObject({
    statusCode: 202,
    body: { counts: { QUEUED: 5 } },
  });

  const observe = { targets: { external_ids: [...names, ...unknown] } };
  expect(await call(createObserve(deps), 'POST /v1/observations', { body: observe })).toMatchObject({ statusCode: 202 });
  await world.run();
  expect(await db.selectFrom('observations').select(['status', 'devices_asked', 'devices_unknown']).execute()).toEqual([
    { status: 'COMPLETED', devices_asked: 7, devices_unknown: 7 },
  ]);
});
