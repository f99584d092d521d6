import type { Db } from '../../lib/db/database.ts';
import { editFirmware } from '../../lib/firmware/edit-firmware.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { editFirmwareRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db }) =>
  endpoint(operation(deps, editFirmwareRoute, async ({ path, body }) => json(200, await editFirmware(deps, path.id, body))));
