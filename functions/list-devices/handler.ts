import type { Db } from '../../lib/db/database.ts';
import { listDevices } from '../../lib/fleet/list-devices.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { listDevicesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db }) =>
  endpoint(operation(deps, listDevicesRoute, async ({ query }) => json(200, await listDevices(deps.db, query))));
