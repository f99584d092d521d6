import { BackendConfig, DatabaseConfig, DispatchesConfig, loadConfig, ManifestSigningConfig, StorageConfig } from '../../lib/config.ts';
import { createFileCheck } from '../../lib/firmware/lost-file.ts';
import { createManifestKeys, createManifestSigner } from '../../lib/firmware/manifest.ts';
import { createHttpBackend } from '../../lib/ports/http-backend.ts';
import { createS3Storage } from '../../lib/ports/s3-storage.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig(
  { ...DatabaseConfig, ...StorageConfig, ...BackendConfig, ...ManifestSigningConfig, ...DispatchesConfig },
  process.env,
);
const deps = createServiceDeps(config, { keepsPlans: true });

const storage = createS3Storage({ bucket: config.FIRMWARE_BUCKET, now: deps.now });

export const handler = createHandler({
  ...deps,
  dispatches: createSqsQueue(config.DISPATCHES_QUEUE_URL),
  backend: createHttpBackend({ url: config.BACKEND_URL, token: config.BACKEND_TOKEN }),
  storage,
  isFileThere: createFileCheck({ ...deps, storage }),
  signManifest: createManifestSigner(createManifestKeys(config.MANIFEST_SIGNING_KEYS), deps.now),
});
