import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { type ControlUpdateDeps, cancelUpdate, changePace, pauseUpdate, resumeUpdate } from '../../lib/update/walk/control-update.ts';
import { cancelUpdateRoute, changePaceRoute, pauseUpdateRoute, resumeUpdateRoute } from './routes.ts';

export const createHandler = (deps: ControlUpdateDeps & HttpDeps) =>
  endpoint(
    operation(deps, cancelUpdateRoute, async ({ path, body }) => json(200, await cancelUpdate(deps, path.id, body))),
    operation(deps, pauseUpdateRoute, async ({ path, body }) => json(200, await pauseUpdate(deps, path.id, body))),
    operation(deps, resumeUpdateRoute, async ({ path }) => json(200, await resumeUpdate(deps, path.id))),
    operation(deps, changePaceRoute, async ({ path, body }) => json(200, await changePace(deps, path.id, body.rollout))),
  );
