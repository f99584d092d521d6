import { BackendConfig, DatabaseConfig, loadConfig, VerificationsConfig } from '../../lib/config.ts';
import { createHttpBackend } from '../../lib/ports/http-backend.ts';
import { createSqsQueueOnDemand } from '../../lib/ports/sqs-queue-on-demand.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...BackendConfig, ...VerificationsConfig }, process.env);

export const handler = createHandler({
  ...createServiceDeps(config),
  verifications: createSqsQueueOnDemand(config.VERIFICATIONS_QUEUE_URL),
  backend: createHttpBackend({ url: config.BACKEND_URL, token: config.BACKEND_TOKEN }),
});
