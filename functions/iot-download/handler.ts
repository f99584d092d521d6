import type { CallingDevice } from '../../lib/ddi/authenticate-device.ts';
import { type ArtifactDeps, getArtifactLink } from '../../lib/ddi/get-deployment.ts';
import { endpoint, type HttpDeps, operation, redirect } from '../../lib/http/endpoint.ts';
import { downloadRoute, probeDownloadRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps<CallingDevice> & ArtifactDeps) =>
  endpoint(
    operation(deps, downloadRoute, async ({ path }, device) => redirect(await getArtifactLink(deps, device, { ...path, method: 'GET' }))),
    operation(deps, probeDownloadRoute, async ({ path }, device) =>
      redirect(await getArtifactLink(deps, device, { ...path, method: 'HEAD' })),
    ),
  );
