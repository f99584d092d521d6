import { actorOf } from '../../lib/audit/actor.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { issueDeviceToken } from '../../lib/ddi/issue-device-token.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { issueDeviceTokenRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, issueDeviceTokenRoute, async (request, caller) =>
      json(201, await issueDeviceToken(deps, request.path, actorOf(request, caller))),
    ),
  );
