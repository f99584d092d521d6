import type { Db } from '../../lib/db/database.ts';
import { toScooter } from '../../lib/fleet/device-detail.ts';
import { getDeviceWithHistory, lookUpDevices } from '../../lib/fleet/get-devices.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getCabinetRoute, getScooterRoute, lookUpDevicesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db }) =>
  endpoint(
    operation(deps, getScooterRoute, async ({ path, query }) =>
      json(200, toScooter(await getDeviceWithHistory(deps.db, { kind: 'scooter', ...path, ...query }))),
    ),
    operation(deps, getCabinetRoute, async ({ path, query }) =>
      json(200, await getDeviceWithHistory(deps.db, { kind: 'cabinet', ...path, ...query })),
    ),
    operation(deps, lookUpDevicesRoute, async ({ body }) => json(200, await lookUpDevices(deps.db, body.kind, body.external_ids))),
  );
