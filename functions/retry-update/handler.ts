import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import type { RequestUpdateDeps } from '../../lib/update/plan/request-update.ts';
import { retryUpdate } from '../../lib/update/plan/retry-update.ts';
import { retryUpdateRoute } from './routes.ts';

export const createHandler = (deps: RequestUpdateDeps & HttpDeps) =>
  endpoint(
    operation(deps, retryUpdateRoute, async ({ path, headers, body, requestId }, caller) => {
      const update = await retryUpdate(deps, path.id, {
        ...body,
        idempotency_key: headers['idempotency-key'],
        created_by: caller.subject,
        request_id: requestId,
      });
      return json(202, update, { location: `/v1/updates/${update.id}` });
    }),
  );
