import { AdvancesConfig, DatabaseConfig, loadConfig, RegistrationsConfig, StorageConfig } from '../../lib/config.ts';
import { createS3Storage } from '../../lib/ports/s3-storage.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...StorageConfig, ...RegistrationsConfig, ...AdvancesConfig }, process.env);
const deps = createServiceDeps(config);

export const handler = createHandler({
  ...deps,
  storage: createS3Storage({ bucket: config.FIRMWARE_BUCKET, now: deps.now }),
  registrations: createSqsQueue(config.REGISTRATIONS_QUEUE_URL),
  advances: createSqsQueue(config.ADVANCES_QUEUE_URL),
});
