import { listAssemblies } from '../../lib/assembly/assembly-queries.ts';
import { getAssembly } from '../../lib/assembly/get-assembly.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { ofKnownHardwareType } from '../../lib/firmware/missing-subjects.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getAssemblyRoute, listAssembliesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, listAssembliesRoute, async ({ query }) =>
      json(200, await ofKnownHardwareType(deps.db, query.hardware_type, await listAssemblies(deps.db, query, deps.now()))),
    ),
    operation(deps, getAssemblyRoute, async ({ path }) => json(200, await getAssembly(deps, path.id))),
  );
