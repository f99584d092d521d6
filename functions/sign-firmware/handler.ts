import { actorOf } from '../../lib/audit/actor.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db, Trx } from '../../lib/db/database.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import type { Queue } from '../../lib/ports/queue.ts';
import { signFirmware } from '../../lib/registration/sign-firmware.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { wakeForCandidates } from '../../lib/update/reach/wake-for-candidates.ts';
import { signFirmwareRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; advances: Queue<AdvanceMessage>; now: Clock }) => {
  const waking = { ...deps, wakeForCandidates: (trx: Trx) => wakeForCandidates(trx, deps.advances, deps.now()) };
  return endpoint(
    operation(deps, signFirmwareRoute, async (request, caller) =>
      json(200, await signFirmware(waking, request.path.id, request.body.signatures, actorOf(request, caller))),
    ),
  );
};
