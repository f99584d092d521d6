import { AdvancesConfig, BackendConfig, DatabaseConfig, loadConfig, ObservationsConfig } from '../../lib/config.ts';
import { createHttpBackend } from '../../lib/ports/http-backend.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...AdvancesConfig, ...ObservationsConfig, ...BackendConfig }, process.env);

export const handler = createHandler({
  ...createServiceDeps(config),
  backend: createHttpBackend({ url: config.BACKEND_URL, token: config.BACKEND_TOKEN }),
  observations: createSqsQueue(config.OBSERVATIONS_QUEUE_URL),
  advances: createSqsQueue(config.ADVANCES_QUEUE_URL),
});
