import type { Db } from '../../lib/db/database.ts';
import { addHardwareType, changeHardwareType, deleteHardwareType } from '../../lib/firmware/edit-hardware-type.ts';
import { endpoint, type HttpDeps, json, noContent, operation } from '../../lib/http/endpoint.ts';
import { addHardwareTypeRoute, changeHardwareTypeRoute, deleteHardwareTypeRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db }) =>
  endpoint(
    operation(deps, addHardwareTypeRoute, async ({ body }) => {
      const { isNew, answer } = await addHardwareType(deps.db, body);
      return json(isNew ? 201 : 200, answer);
    }),
    operation(deps, changeHardwareTypeRoute, async ({ path, body }) => json(200, await changeHardwareType(deps.db, path.name, body))),
    operation(deps, deleteHardwareTypeRoute, async ({ path }) => {
      await deleteHardwareType(deps.db, path.name);
      return noContent();
    }),
  );
