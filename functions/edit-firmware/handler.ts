import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { deleteFirmware, editFirmware } from '../../lib/firmware/edit-firmware.ts';
import { endpoint, type HttpDeps, json, noContent, operation } from '../../lib/http/endpoint.ts';
import { deleteFirmwareRoute, editFirmwareRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, editFirmwareRoute, async ({ path, body }) => json(200, await editFirmware(deps, path.id, body))),
    operation(deps, deleteFirmwareRoute, async ({ path }) => {
      await deleteFirmware(deps, path.id);
      return noContent();
    }),
  );
