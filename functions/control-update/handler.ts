import { actorOf } from '../../lib/audit/actor.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import {
  approveUpdate,
  type ControlUpdateDeps,
  cancelUpdate,
  changePace,
  pauseUpdate,
  rejectUpdate,
  resumeUpdate,
} from '../../lib/update/walk/control-update.ts';
import {
  approveUpdateRoute,
  cancelUpdateRoute,
  changePaceRoute,
  pauseUpdateRoute,
  rejectUpdateRoute,
  resumeUpdateRoute,
} from './routes.ts';

export const createHandler = (deps: ControlUpdateDeps & HttpDeps) =>
  endpoint(
    operation(deps, cancelUpdateRoute, async (request, caller) =>
      json(200, await cancelUpdate(deps, request.path.id, request.body, actorOf(request, caller))),
    ),
    operation(deps, pauseUpdateRoute, async (request, caller) =>
      json(200, await pauseUpdate(deps, request.path.id, request.body, actorOf(request, caller))),
    ),
    operation(deps, resumeUpdateRoute, async (request, caller) =>
      json(200, await resumeUpdate(deps, request.path.id, actorOf(request, caller))),
    ),
    operation(deps, approveUpdateRoute, async (request, caller) =>
      json(200, await approveUpdate(deps, request.path.id, request.body, actorOf(request, caller))),
    ),
    operation(deps, rejectUpdateRoute, async (request, caller) =>
      json(200, await rejectUpdate(deps, request.path.id, request.body, actorOf(request, caller))),
    ),
    operation(deps, changePaceRoute, async (request, caller) =>
      json(200, await changePace(deps, request.path.id, request.body.rollout, actorOf(request, caller))),
    ),
  );
