import type { Db } from '../../lib/db/database.ts';
import { getDevice, lookUpDevices } from '../../lib/fleet/get-devices.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getCabinetRoute, getScooterRoute, lookUpDevicesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db }) =>
  endpoint(
    operation(deps, getScooterRoute, async ({ path }) => json(200, await getDevice(deps.db, 'scooter', path.external_id))),
    operation(deps, getCabinetRoute, async ({ path }) => json(200, await getDevice(deps.db, 'cabinet', path.external_id))),
    operation(deps, lookUpDevicesRoute, async ({ body }) => json(200, await lookUpDevices(deps.db, body.kind, body.external_ids))),
  );
