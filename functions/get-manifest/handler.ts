import type { Db } from '../../lib/db/database.ts';
import { getManifest } from '../../lib/firmware/get-manifest.ts';
import type { PublicKeys, SignManifest } from '../../lib/firmware/manifest.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getKeysRoute, getManifestRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; signManifest: SignManifest; readPublicKeys: () => Promise<PublicKeys> }) =>
  endpoint(
    operation(deps, getManifestRoute, async ({ path }) => json(200, await getManifest(deps, path.id))),
    operation(deps, getKeysRoute, async () => json(200, await deps.readPublicKeys(), { 'cache-control': 'public, max-age=300' })),
  );
