import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { type RequestUpdateDeps, requestUpdate } from '../../lib/update/request-update.ts';
import { requestUpdateRoute } from './routes.ts';

export const createHandler = (deps: RequestUpdateDeps & HttpDeps) =>
  endpoint(
    operation(deps, requestUpdateRoute, async ({ body, headers, requestId }, caller) => {
      const update = await requestUpdate(deps, {
        ...body,
        idempotency_key: headers['idempotency-key'],
        created_by: caller.subject,
        request_id: requestId,
      });
      return json(202, update, { location: `/v1/updates/${update.id}` });
    }),
  );
