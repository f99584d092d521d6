import { actorOf } from '../../lib/audit/actor.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db, Trx } from '../../lib/db/database.ts';
import { addGroup, changeGroup, deleteGroup } from '../../lib/fleet/edit-group.ts';
import { addZone, changeZone, deleteZone } from '../../lib/fleet/edit-zone.ts';
import { tagDevices } from '../../lib/fleet/tag-devices.ts';
import { endpoint, type HttpDeps, json, noContent, operation } from '../../lib/http/endpoint.ts';
import type { Queue } from '../../lib/ports/queue.ts';
import { changeDevice } from '../../lib/update/change-device.ts';
import { lookAgain } from '../../lib/update/look-again.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { wakeForCandidates } from '../../lib/update/reach/wake-for-candidates.ts';
import { wakeSleepers } from '../../lib/update/reach/wake-update.ts';
import {
  addGroupRoute,
  addZoneRoute,
  changeDeviceRoute,
  changeGroupRoute,
  changeZoneRoute,
  deleteGroupRoute,
  deleteZoneRoute,
  tagDevicesRoute,
} from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; advances: Queue<AdvanceMessage>; now: Clock }) => {
  const { advances, now } = deps;
  const waking = { ...deps, wakeForCandidates: (trx: Trx) => wakeForCandidates(trx, advances, now()) };
  return endpoint(
    operation(deps, changeDeviceRoute, async (request, caller) =>
      json(200, await changeDevice(deps, request.path, request.body, actorOf(request, caller))),
    ),
    operation(deps, tagDevicesRoute, async (request, caller) =>
      json(200, await tagDevices(waking, request.body, actorOf(request, caller))),
    ),
    operation(deps, addZoneRoute, async (request, caller) => {
      const { isNew, answer } = await addZone(deps, request.body, actorOf(request, caller));
      return json(isNew ? 201 : 200, answer);
    }),
    operation(deps, changeZoneRoute, async (request, caller) =>
      json(
        200,
        await changeZone(
          { ...deps, wakeSleepers: (trx) => wakeSleepers(trx, advances, now()) },
          request.path.name,
          request.body,
          actorOf(request, caller),
        ),
      ),
    ),
    operation(deps, deleteZoneRoute, async (request, caller) => {
      await deleteZone(deps, request.path.name, actorOf(request, caller));
      return noContent();
    }),
    operation(deps, addGroupRoute, async (request, caller) => {
      const { isNew, answer } = await addGroup(deps, request.body, actorOf(request, caller));
      return json(isNew ? 201 : 200, answer);
    }),
    operation(deps, changeGroupRoute, async (request, caller) =>
      json(
        200,
        await changeGroup(
          { ...deps, lookAgain: (trx, group) => lookAgain(trx, advances, group, now()) },
          request.path.name,
          request.body,
          actorOf(request, caller),
        ),
      ),
    ),
    operation(deps, deleteGroupRoute, async (request, caller) => {
      await deleteGroup(deps, request.path.name, actorOf(request, caller));
      return noContent();
    }),
  );
};
