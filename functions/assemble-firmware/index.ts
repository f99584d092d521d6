import { createPackageSigner } from '../../lib/assembly/package-signature.ts';
import { AssembliesConfig, DatabaseConfig, loadConfig, PackageSigningConfig, StorageConfig } from '../../lib/config.ts';
import { createS3, transferTimeouts } from '../../lib/ports/s3-client.ts';
import { createS3ObjectWriter } from '../../lib/ports/s3-object-writer.ts';
import { createS3Storage } from '../../lib/ports/s3-storage.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...StorageConfig, ...AssembliesConfig, ...PackageSigningConfig }, process.env);
const deps = createServiceDeps(config);
const bucket = config.FIRMWARE_BUCKET;
const s3 = createS3({ requestHandler: transferTimeouts });

export const handler = createHandler({
  ...deps,
  storage: createS3Storage({ bucket, now: deps.now, s3 }),
  writer: createS3ObjectWriter({ bucket, s3 }),
  assemblies: createSqsQueue(config.ASSEMBLIES_QUEUE_URL),
  sign: createPackageSigner({ signing_key: config.PACKAGE_SIGNING_KEY, certificates: config.PACKAGE_CERTIFICATES }),
});
