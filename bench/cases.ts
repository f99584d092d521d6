import { createHandler as createConfirmUpdate } from '../functions/confirm-update/handler.ts';
import { createHandler as createGetDeviceVersions } from '../functions/get-device-versions/handler.ts';
import { createHandler as createGetStats } from '../functions/get-stats/handler.ts';
import { createHandler as createListDevices } from '../functions/list-devices/handler.ts';
import type { Db } from '../lib/db/database.ts';
import type { HttpDeps, HttpHandler } from '../lib/http/endpoint.ts';
import { createContext, createEvent } from '../test/support/http.ts';
import { createRandom } from '../test/support/update-service.ts';
import type { Call } from './measure.ts';
import { externalIdOf, firmwareVersions } from './seed.ts';

export interface Case {
  name: string;
  function: string;
  handler: HttpHandler;
  calls: number;
  callOf: (i: number) => Call;
}

export const stats = 'GET /v1/stats';
export const confirmations = 'POST /v1/confirmations, 1,000 reports';
export const reportsPerCall = 1_000;

/** The calls that are measured, on a fleet of so many devices as `seed` makes it. */
export async function listCases(deps: HttpDeps & { db: Db; now: () => Date }, token: string, devices: number): Promise<Case[]> {
  const random = createRandom(42);
  const someDevice = () => externalIdOf(Math.floor(random.between(1, devices + 1)));
  const page = (query: Record<string, string>): Call => ({
    method: 'GET',
    path: '/v1/devices',
    query: { kind: 'scooter', ...query },
    token,
  });
  const listDevices = createListDevices(deps);
  const getDevices = createGetDeviceVersions(deps);

  let cursor = '';
  for (let number = 1; number < 1_000; number += 1) {
    const { body } = await listDevices(createEvent(page(cursor ? { cursor } : {})), createContext());
    cursor = (JSON.parse(body) as { next_cursor: string }).next_cursor;
  }
  const { id: olderThan } = await deps.db
    .selectFrom('firmwares')
    .select('id')
    .where('hardware_type', '=', 'vega_gsm')
    .where('version', '=', firmwareVersions.recent)
    .executeTakeFirstOrThrow();

  return [
    {
      name: 'GET /v1/scooters/{external_id}',
      function: 'get-device-versions',
      handler: getDevices,
      calls: 2_000,
      callOf: () => ({ method: 'GET', path: '/v1/scooters/{external_id}', pathParameters: { external_id: someDevice() }, token }),
    },
    {
      name: 'POST /v1/devices/lookup, 1,000 devices',
      function: 'get-device-versions',
      handler: getDevices,
      calls: 100,
      callOf: () => ({
        method: 'POST',
        path: '/v1/devices/lookup',
        body: { kind: 'scooter', external_ids: Array.from({ length: 1_000 }, someDevice) },
        token,
      }),
    },
    { name: 'GET /v1/devices, page 1', function: 'list-devices', handler: listDevices, calls: 500, callOf: () => page({}) },
    { name: 'GET /v1/devices, page 1,000', function: 'list-devices', handler: listDevices, calls: 500, callOf: () => page({ cursor }) },
    {
      name: 'GET /v1/devices?older_than_firmware_id',
      function: 'list-devices',
      handler: listDevices,
      calls: 100,
      callOf: () => page({ older_than_firmware_id: String(olderThan) }),
    },
    {
      name: stats,
      function: 'get-stats',
      handler: createGetStats(deps),
      calls: 100,
      callOf: () => ({ method: 'GET', path: '/v1/stats', token }),
    },
    {
      name: confirmations,
      function: 'confirm-update',
      handler: createConfirmUpdate(deps),
      calls: 50,
      // Different devices each time, and each of them reports a new version.
      callOf: (i) => ({
        method: 'POST',
        path: '/v1/confirmations',
        body: {
          confirmations: Array.from({ length: reportsPerCall }, (_, n) => ({
            external_id: externalIdOf(1 + (((i * reportsPerCall + n) * 7) % devices)),
            hardware_type: 'vega_mcu',
            version: firmwareVersions.oldest,
            status: 'SUCCEEDED',
            occurred_dt: new Date().toISOString(),
          })),
        },
        token,
      }),
    },
  ];
}
