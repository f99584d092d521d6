import { listAuditLines } from '../../lib/audit/audit-queries.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { getZone } from '../../lib/fleet/edit-zone.ts';
import { getGroup, listMembers } from '../../lib/fleet/get-group.ts';
import { listGroups } from '../../lib/fleet/group-queries.ts';
import { listZones } from '../../lib/fleet/zone-queries.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getGroupRoute, getZoneRoute, listAuditRoute, listGroupDevicesRoute, listGroupsRoute, listZonesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, listZonesRoute, async ({ query }) => json(200, await listZones(deps.db, query))),
    operation(deps, getZoneRoute, async ({ path }) => json(200, await getZone(deps.db, path.name))),
    operation(deps, listGroupsRoute, async ({ query }) => json(200, await listGroups(deps.db, query))),
    operation(deps, getGroupRoute, async ({ path }) => json(200, await getGroup(deps, path.name))),
    operation(deps, listGroupDevicesRoute, async ({ path, query }) => json(200, await listMembers(deps, path.name, query))),
    operation(deps, listAuditRoute, async ({ query }) => json(200, await listAuditLines(deps.db, query))),
  );
