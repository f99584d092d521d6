import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { filterOfQuery } from '../../lib/fleet/device-filter-query.ts';
import { listDevices } from '../../lib/fleet/list-devices.ts';
import { inQuery } from '../../lib/fleet/missing-subjects.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { listDevicesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, listDevicesRoute, async ({ query: { limit, cursor, sort, total, ...query } }) =>
      json(200, await listDevices(deps, filterOfQuery(query), { limit, cursor, sort, total }, inQuery(query))),
    ),
  );
