import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getObservation } from '../../lib/observation/get-observation.ts';
import { listObservations } from '../../lib/observation/observation-queries.ts';
import { getObservationRoute, listObservationsRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, listObservationsRoute, async ({ query }) => json(200, await listObservations(deps.db, query, deps.now()))),
    operation(deps, getObservationRoute, async ({ path, query }) => json(200, await getObservation(deps.db, path.id, query, deps.now()))),
  );
