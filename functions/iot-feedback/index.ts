import { AdvancesConfig, DatabaseConfig, DeviceAccessConfig, loadConfig } from '../../lib/config.ts';
import { createDeviceDeps } from '../../lib/ddi/device-deps.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...DeviceAccessConfig, ...AdvancesConfig }, process.env);

export const handler = createHandler({ ...createDeviceDeps(config), advances: createSqsQueue(config.ADVANCES_QUEUE_URL) });
