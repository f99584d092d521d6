import { DatabaseConfig, DeviceAccessConfig, loadConfig, PollConfig } from '../../lib/config.ts';
import { createDeviceDeps, toPollIntervals } from '../../lib/ddi/device-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig(DatabaseConfig.extend(DeviceAccessConfig.shape).extend(PollConfig.shape), process.env);

export const handler = createHandler({ ...createDeviceDeps(config), intervals: toPollIntervals(config), random: Math.random });
