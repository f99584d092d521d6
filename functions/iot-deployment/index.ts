import { DatabaseConfig, DeviceAccessConfig, loadConfig, ManifestSigningConfig } from '../../lib/config.ts';
import { createDeviceDeps } from '../../lib/ddi/device-deps.ts';
import { createManifestKeys, createManifestSigner } from '../../lib/firmware/manifest.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...DeviceAccessConfig, ...ManifestSigningConfig }, process.env);
const deps = createDeviceDeps(config);

export const handler = createHandler({
  ...deps,
  signManifest: createManifestSigner(createManifestKeys(config.MANIFEST_SIGNING_KEYS), deps.now),
});
