import { actorOf } from '../../lib/audit/actor.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db, Trx } from '../../lib/db/database.ts';
import { type ChangedFirmware, deleteFirmware, editFirmware } from '../../lib/firmware/edit-firmware.ts';
import { endpoint, type HttpDeps, json, noContent, operation } from '../../lib/http/endpoint.ts';
import type { Queue } from '../../lib/ports/queue.ts';
import { heedFirmware } from '../../lib/update/look-again.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { deleteFirmwareRoute, editFirmwareRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; advances?: Queue<AdvanceMessage>; now: Clock }) => {
  const { advances, now } = deps;
  const heeding = {
    ...deps,
    ...(advances && { heedFirmware: (trx: Trx, firmware: ChangedFirmware) => heedFirmware(trx, advances, firmware, now()) }),
  };
  return endpoint(
    operation(deps, editFirmwareRoute, async (request, caller) =>
      json(200, await editFirmware(heeding, request.path.id, request.body, actorOf(request, caller))),
    ),
    operation(deps, deleteFirmwareRoute, async (request, caller) => {
      await deleteFirmware(deps, request.path.id, actorOf(request, caller));
      return noContent();
    }),
  );
};
