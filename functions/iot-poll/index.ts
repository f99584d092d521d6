import { DatabaseConfig, DeviceAccessConfig, loadConfig, PollConfig } from '../../lib/config.ts';
import { createDeviceDeps, toPollIntervals } from '../../lib/ddi/device-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...DeviceAccessConfig, ...PollConfig }, process.env);

export const handler = createHandler({ ...createDeviceDeps(config), intervals: toPollIntervals(config), random: Math.random });
