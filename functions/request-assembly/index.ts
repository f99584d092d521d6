import { ApiConfig, AssembliesConfig, loadConfig } from '../../lib/config.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createApiDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...ApiConfig, ...AssembliesConfig }, process.env);

export const handler = createHandler({ ...createApiDeps(config), assemblies: createSqsQueue(config.ASSEMBLIES_QUEUE_URL) });
