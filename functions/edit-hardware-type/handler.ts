import { actorOf } from '../../lib/audit/actor.ts';
import type { Trx } from '../../lib/db/database.ts';
import {
  addHardwareType,
  changeHardwareType,
  deleteHardwareType,
  type EditHardwareTypeDeps,
} from '../../lib/firmware/edit-hardware-type.ts';
import { endpoint, type HttpDeps, json, noContent, operation, requireScope } from '../../lib/http/endpoint.ts';
import type { Queue } from '../../lib/ports/queue.ts';
import { heedHardwareType } from '../../lib/update/look-again.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { addHardwareTypeRoute, changeHardwareTypeRoute, deleteHardwareTypeRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & EditHardwareTypeDeps & { advances?: Queue<AdvanceMessage> }) => {
  const { advances, now } = deps;
  const heeding = {
    ...deps,
    ...(advances && { heedHardwareType: (trx: Trx, name: string) => heedHardwareType(trx, advances, name, now()) }),
  };
  return endpoint(
    operation(deps, addHardwareTypeRoute, async (request, caller) => {
      const { isNew, answer } = await addHardwareType(deps, request.body, actorOf(request, caller));
      return json(isNew ? 201 : 200, answer);
    }),
    operation(deps, changeHardwareTypeRoute, async (request, caller) => {
      // Who may upload firmware does not decide how many authors have to sign it.
      if (request.body.author_signatures_required !== undefined) requireScope(caller, 'keys:write');
      return json(200, await changeHardwareType(heeding, request.path.name, request.body, actorOf(request, caller)));
    }),
    operation(deps, deleteHardwareTypeRoute, async (request, caller) => {
      await deleteHardwareType(deps, request.path.name, actorOf(request, caller));
      return noContent();
    }),
  );
};
