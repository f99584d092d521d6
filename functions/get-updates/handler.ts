import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getDeviceUpdates, getExclusions, getExecutions, getTimeline, getUpdate, listUpdates } from '../../lib/update/get-update.ts';
import type { OfferTimes } from '../../lib/update/offer-times.ts';
import {
  getTimelineRoute,
  getUpdateRoute,
  listCabinetUpdatesRoute,
  listExclusionsRoute,
  listExecutionsRoute,
  listScooterUpdatesRoute,
  listUpdatesRoute,
} from './routes.ts';

/** `offerTimes`: for devices that poll; missing: they poll every five minutes. */
export const createHandler = (deps: HttpDeps & { db: Db; now: Clock; offerTimes?: OfferTimes }) =>
  endpoint(
    operation(deps, listUpdatesRoute, async ({ query }) => json(200, await listUpdates(deps.db, query, deps.now()))),
    operation(deps, getUpdateRoute, async ({ path }) => json(200, await getUpdate(deps.db, path.id, deps.now()))),
    operation(deps, getTimelineRoute, async ({ path, query }) => json(200, await getTimeline(deps.db, path.id, query, deps.now()))),
    operation(deps, listExecutionsRoute, async ({ path, query }) =>
      json(200, await getExecutions(deps.db, { update_id: path.id, ...query }, deps.now(), deps.offerTimes)),
    ),
    operation(deps, listExclusionsRoute, async ({ path, query }) =>
      json(200, await getExclusions(deps.db, { update_id: path.id, ...query })),
    ),
    operation(deps, listScooterUpdatesRoute, async ({ path, query }) =>
      json(200, await getDeviceUpdates(deps.db, { kind: 'scooter', ...path, ...query }, deps.now(), deps.offerTimes)),
    ),
    operation(deps, listCabinetUpdatesRoute, async ({ path, query }) =>
      json(200, await getDeviceUpdates(deps.db, { kind: 'cabinet', ...path, ...query }, deps.now(), deps.offerTimes)),
    ),
  );
