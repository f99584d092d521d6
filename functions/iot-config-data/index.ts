import { DatabaseConfig, DeviceAccessConfig, loadConfig } from '../../lib/config.ts';
import { createDeviceDeps } from '../../lib/ddi/device-deps.ts';
import { createHandler } from './handler.ts';

export const handler = createHandler(createDeviceDeps(loadConfig({ ...DatabaseConfig, ...DeviceAccessConfig }, process.env)));
