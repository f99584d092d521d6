import { actorOf } from '../../lib/audit/actor.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { cancelObservation, resumeObservation } from '../../lib/observation/control-observation.ts';
import { type RequestObservationDeps, requestObservation } from '../../lib/observation/request-observation.ts';
import { cancelObservationRoute, observeVersionsRoute, resumeObservationRoute } from './routes.ts';

export const createHandler = (deps: RequestObservationDeps & HttpDeps) =>
  endpoint(
    operation(deps, observeVersionsRoute, async ({ body, headers, requestId }, caller) => {
      const observation = await requestObservation(deps, {
        ...body,
        idempotency_key: headers['idempotency-key'],
        created_by: caller.subject,
        request_id: requestId,
      });
      return json(202, observation, { location: `/v1/observations/${observation.id}` });
    }),
    operation(deps, resumeObservationRoute, async ({ path }) => json(200, await resumeObservation(deps, path.id))),
    operation(deps, cancelObservationRoute, async (request, caller) =>
      json(200, await cancelObservation(deps, request.path.id, actorOf(request, caller))),
    ),
  );
