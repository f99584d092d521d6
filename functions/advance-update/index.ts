import { AdvancesConfig, DatabaseConfig, DispatchesConfig, loadConfig } from '../../lib/config.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig(DatabaseConfig.extend(AdvancesConfig.shape).extend(DispatchesConfig.shape), process.env);

export const handler = createHandler({
  ...createServiceDeps(config),
  advances: createSqsQueue(config.ADVANCES_QUEUE_URL),
  dispatches: createSqsQueue(config.DISPATCHES_QUEUE_URL),
});
