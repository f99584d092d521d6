import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { type GetStatsDeps, getStats } from '../../lib/stats/get-stats.ts';
import { getVersionDays } from '../../lib/stats/version-days.ts';
import { getStatsRoute, getVersionDaysRoute } from './routes.ts';

export const createHandler = (deps: GetStatsDeps & HttpDeps) =>
  endpoint(
    operation(deps, getStatsRoute, async ({ query }) => json(200, await getStats(deps, query.not_seen_days))),
    operation(deps, getVersionDaysRoute, async ({ query: { hardware_type, days } }) =>
      json(200, await getVersionDays(deps.db, hardware_type, days, deps.now())),
    ),
  );
