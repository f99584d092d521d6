import { actorOf } from '../../lib/audit/actor.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db, Trx } from '../../lib/db/database.ts';
import { issueFirstTokens } from '../../lib/ddi/issue-device-token.ts';
import { registerDevices } from '../../lib/fleet/register-devices.ts';
import { judgeDevices, wellFormedOf } from '../../lib/fleet/sent-devices.ts';
import { zonesOf } from '../../lib/fleet/unknown-zone.ts';
import { listUnknownZones } from '../../lib/fleet/zone-queries.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import type { Queue } from '../../lib/ports/queue.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { wakeForCandidates } from '../../lib/update/reach/wake-for-candidates.ts';
import { registerDevicesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; advances: Queue<AdvanceMessage>; now: Clock }) => {
  const waking = { ...deps, wakeForCandidates: (trx: Trx) => wakeForCandidates(trx, deps.advances, deps.now()) };
  return endpoint(
    operation(deps, registerDevicesRoute, async ({ body: { devices: sent, issue_tokens, partial }, requestId }, caller) => {
      const unknownZones = await listUnknownZones(deps.db, zonesOf(wellFormedOf(sent)));
      const { devices, ...refusals } = judgeDevices(sent, { partial, unknownZones });
      const actor = actorOf({ requestId }, caller);
      const registered = await registerDevices(waking, devices, actor);
      return json(200, {
        ...registered,
        ...(partial && refusals),
        ...(issue_tokens && { tokens: await issueFirstTokens(deps, devices, actor) }),
      });
    }),
  );
};
