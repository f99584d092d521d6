import type { CallingDevice } from '../../lib/ddi/authenticate-device.ts';
import { controllerUrl } from '../../lib/ddi/controller-url.ts';
import { type PollDeps, poll } from '../../lib/ddi/poll.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { pollRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps<CallingDevice> & PollDeps) =>
  endpoint(
    operation(deps, pollRoute, async ({ path, apiUrl }, device) =>
      json(200, await poll(deps, device, controllerUrl(apiUrl, path.tenant, device))),
    ),
  );
