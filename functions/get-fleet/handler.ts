import type { Db } from '../../lib/db/database.ts';
import { getZone } from '../../lib/fleet/edit-zone.ts';
import { listZones } from '../../lib/fleet/zone-queries.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getZoneRoute, listZonesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db }) =>
  endpoint(
    operation(deps, listZonesRoute, async ({ query }) => json(200, await listZones(deps.db, query))),
    operation(deps, getZoneRoute, async ({ path }) => json(200, await getZone(deps.db, path.name))),
  );
