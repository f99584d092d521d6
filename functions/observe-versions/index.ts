import { ApiConfig, loadConfig, ObservationsConfig } from '../../lib/config.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createApiDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...ApiConfig, ...ObservationsConfig }, process.env);

export const handler = createHandler({ ...createApiDeps(config), observations: createSqsQueue(config.OBSERVATIONS_QUEUE_URL) });
