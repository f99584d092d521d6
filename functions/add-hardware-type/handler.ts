import type { Db } from '../../lib/db/database.ts';
import { addHardwareType } from '../../lib/firmware/add-hardware-type.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { addHardwareTypeRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db }) =>
  endpoint(
    operation(deps, addHardwareTypeRoute, async ({ body }) => {
      const { isNew, answer } = await addHardwareType(deps.db, body);
      return json(isNew ? 201 : 200, answer);
    }),
  );
