import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { issueFirstTokens } from '../../lib/ddi/issue-device-token.ts';
import { registerDevices } from '../../lib/fleet/register-devices.ts';
import { judgeDevices } from '../../lib/fleet/sent-devices.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { registerDevicesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, registerDevicesRoute, async ({ body: { devices: sent, issue_tokens, partial } }, caller) => {
      const { devices, ...refusals } = judgeDevices(sent, { partial });
      const registered = await registerDevices(deps, devices);
      return json(200, {
        ...registered,
        ...(partial && refusals),
        ...(issue_tokens && { tokens: await issueFirstTokens(deps, devices, caller.subject) }),
      });
    }),
  );
