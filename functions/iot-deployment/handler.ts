import type { CallingDevice } from '../../lib/ddi/authenticate-device.ts';
import { controllerUrl } from '../../lib/ddi/controller-url.ts';
import { type DeploymentDeps, getCancelAction, getDeployment, getInstalled } from '../../lib/ddi/get-deployment.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getCancelActionRoute, getDeploymentRoute, getInstalledBaseRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps<CallingDevice> & DeploymentDeps) =>
  endpoint(
    operation(deps, getDeploymentRoute, async ({ path, apiUrl }, device) =>
      json(200, await getDeployment(deps, device, path.actionId, controllerUrl(apiUrl, path.tenant, device))),
    ),
    operation(deps, getCancelActionRoute, async ({ path }, device) => json(200, await getCancelAction(deps, device, path.actionId))),
    operation(deps, getInstalledBaseRoute, async ({ path, apiUrl }, device) =>
      json(200, await getInstalled(deps, device, path.actionId, controllerUrl(apiUrl, path.tenant, device))),
    ),
  );
