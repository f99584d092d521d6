import { actorOf } from '../../lib/audit/actor.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db, Trx } from '../../lib/db/database.ts';
import { deleteFirmware, editFirmware } from '../../lib/firmware/edit-firmware.ts';
import { endpoint, type HttpDeps, json, noContent, operation } from '../../lib/http/endpoint.ts';
import type { Queue } from '../../lib/ports/queue.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { wakeForWithdrawal } from '../../lib/update/reach/wake-for-candidates.ts';
import { deleteFirmwareRoute, editFirmwareRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; advances?: Queue<AdvanceMessage>; now: Clock }) => {
  const { advances, now } = deps;
  const waking = {
    ...deps,
    ...(advances && { wakeForWithdrawal: (trx: Trx, firmware_id: number) => wakeForWithdrawal(trx, advances, firmware_id, now()) }),
  };
  return endpoint(
    operation(deps, editFirmwareRoute, async (request, caller) =>
      json(200, await editFirmware(waking, request.path.id, request.body, actorOf(request, caller))),
    ),
    operation(deps, deleteFirmwareRoute, async (request, caller) => {
      await deleteFirmware(deps, request.path.id, actorOf(request, caller));
      return noContent();
    }),
  );
};
