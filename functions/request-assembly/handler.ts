import { type RequestAssemblyDeps, requestAssembly } from '../../lib/assembly/request-assembly.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { requestAssemblyRoute } from './routes.ts';

export const createHandler = (deps: RequestAssemblyDeps & HttpDeps) =>
  endpoint(
    operation(deps, requestAssemblyRoute, async ({ body, headers, requestId }, caller) => {
      const assembly = await requestAssembly(deps, {
        ...body,
        idempotency_key: headers['idempotency-key'],
        created_by: caller.subject,
        request_id: requestId,
      });
      return json(202, assembly, { location: `/v1/assemblies/${assembly.id}` });
    }),
  );
