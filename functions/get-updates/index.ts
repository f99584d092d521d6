import { ApiConfig, loadConfig, PollConfig } from '../../lib/config.ts';
import { toPollIntervals } from '../../lib/ddi/device-deps.ts';
import { offerTimesOf } from '../../lib/ddi/poll-interval.ts';
import { createApiDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...ApiConfig, ...PollConfig }, process.env);

export const handler = createHandler({ ...createApiDeps(config), offerTimes: offerTimesOf(toPollIntervals(config)) });
