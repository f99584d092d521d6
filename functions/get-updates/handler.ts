import type { Db } from '../../lib/db/database.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getExecutions, getUpdate } from '../../lib/update/get-update.ts';
import { listUpdates } from '../../lib/update/update-queries.ts';
import { getUpdateRoute, listExecutionsRoute, listUpdatesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db }) =>
  endpoint(
    operation(deps, listUpdatesRoute, async ({ query }) => json(200, await listUpdates(deps.db, query))),
    operation(deps, getUpdateRoute, async ({ path }) => json(200, await getUpdate(deps.db, path.id))),
    operation(deps, listExecutionsRoute, async ({ path, query }) =>
      json(200, await getExecutions(deps.db, { update_id: path.id, ...query })),
    ),
  );
