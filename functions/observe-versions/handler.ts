import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { type RequestObservationDeps, requestObservation } from '../../lib/observation/request-observation.ts';
import { observeVersionsRoute } from './routes.ts';

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
  );
