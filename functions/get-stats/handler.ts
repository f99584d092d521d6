import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { type GetStatsDeps, getStats } from '../../lib/stats/get-stats.ts';
import { getStatsRoute } from './routes.ts';

export const createHandler = (deps: GetStatsDeps & HttpDeps) =>
  endpoint(operation(deps, getStatsRoute, async ({ query }) => json(200, await getStats(deps, query.not_seen_days))));
