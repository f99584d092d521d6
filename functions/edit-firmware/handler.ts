import { actorOf } from '../../lib/audit/actor.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { deleteFirmware, editFirmware } from '../../lib/firmware/edit-firmware.ts';
import { endpoint, type HttpDeps, json, noContent, operation } from '../../lib/http/endpoint.ts';
import { deleteFirmwareRoute, editFirmwareRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, editFirmwareRoute, async (request, caller) =>
      json(200, await editFirmware(deps, request.path.id, request.body, actorOf(request, caller))),
    ),
    operation(deps, deleteFirmwareRoute, async (request, caller) => {
      await deleteFirmware(deps, request.path.id, actorOf(request, caller));
      return noContent();
    }),
  );
