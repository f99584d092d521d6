import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { dryRunUpdate } from '../../lib/update/plan/dry-run-update.ts';
import { type RequestUpdateDeps, requestUpdate } from '../../lib/update/plan/request-update.ts';
import { requestUpdateRoute } from './routes.ts';

export const createHandler = (deps: RequestUpdateDeps & HttpDeps) =>
  endpoint(
    operation(deps, requestUpdateRoute, async ({ body: { dry_run, ...body }, headers, requestId }, caller) => {
      if (dry_run) return json(200, await dryRunUpdate(deps, body, dry_run === true ? undefined : dry_run));
      const update = await requestUpdate(deps, {
        ...body,
        idempotency_key: headers['idempotency-key'],
        created_by: caller.subject,
        request_id: requestId,
      });
      return json(202, update, { location: `/v1/updates/${update.id}` });
    }),
  );
