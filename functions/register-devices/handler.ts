import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { registerDevices } from '../../lib/fleet/register-devices.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { registerDevicesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(operation(deps, registerDevicesRoute, async ({ body }) => json(200, await registerDevices(deps, body.devices))));
