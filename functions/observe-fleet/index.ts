import { DatabaseConfig, loadConfig, ObservationsConfig } from '../../lib/config.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...ObservationsConfig }, process.env);

export const handler = createHandler({ ...createServiceDeps(config), observations: createSqsQueue(config.OBSERVATIONS_QUEUE_URL) });
