import type { CallingDevice } from '../../lib/ddi/authenticate-device.ts';
import { getArtifactLink } from '../../lib/ddi/get-deployment.ts';
import { endpoint, type HttpDeps, operation, redirect } from '../../lib/http/endpoint.ts';
import type { Storage } from '../../lib/ports/storage.ts';
import { downloadRoute, probeDownloadRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps<CallingDevice> & { storage: Pick<Storage, 'probe' | 'signDownload' | 'fromLink'> }) =>
  endpoint(
    operation(deps, downloadRoute, async ({ path }, device) =>
      redirect(await getArtifactLink(deps.storage, device, { ...path, method: 'GET' })),
    ),
    operation(deps, probeDownloadRoute, async ({ path }, device) =>
      redirect(await getArtifactLink(deps.storage, device, { ...path, method: 'HEAD' })),
    ),
  );
