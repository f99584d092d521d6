import { ApiConfig, loadConfig, ManifestSigningConfig, PackageCertificatesConfig } from '../../lib/config.ts';
import { createManifestKeys, createManifestSigner, toPublicKeys } from '../../lib/firmware/manifest.ts';
import { createApiDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...ApiConfig, ...ManifestSigningConfig, ...PackageCertificatesConfig }, process.env);
const deps = createApiDeps(config);
const readKeys = createManifestKeys(config.MANIFEST_SIGNING_KEYS);

export const handler = createHandler({
  ...deps,
  signManifest: createManifestSigner(readKeys, deps.now),
  readPublicKeys: async () => toPublicKeys(await readKeys(), config.PACKAGE_CERTIFICATES),
});
