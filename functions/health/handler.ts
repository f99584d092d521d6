import { publishRootDays } from '../../lib/authors/root-days.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { countLateUpdates, publishLateUpdates } from '../../lib/update/late-updates.ts';
import { healthRoute } from './routes.ts';

/** A monitor asks for this every minute. So it also publishes what has an alarm: the service has no timer that could do it. */
export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, healthRoute, async () => {
      publishLateUpdates(deps.metrics, await countLateUpdates(deps.db, deps.now()));
      await publishRootDays(deps.db, deps.metrics, deps.now());
      return json(200, { status: 'ok', database: 'ok' });
    }),
  );
