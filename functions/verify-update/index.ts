import { AdvancesConfig, BackendConfig, DatabaseConfig, loadConfig, VerificationsConfig } from '../../lib/config.ts';
import { createHttpBackend } from '../../lib/ports/http-backend.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...AdvancesConfig, ...BackendConfig, ...VerificationsConfig }, process.env);

export const handler = createHandler({
  ...createServiceDeps(config, { keepsPlans: true }),
  verifications: createSqsQueue(config.VERIFICATIONS_QUEUE_URL),
  backend: createHttpBackend({ url: config.BACKEND_URL, token: config.BACKEND_TOKEN }),
  advances: createSqsQueue(config.ADVANCES_QUEUE_URL),
});
