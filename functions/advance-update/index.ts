import { AdvancesConfig, DatabaseConfig, DispatchesConfig, loadConfig, PollConfig, VerificationsConfig } from '../../lib/config.ts';
import { toPollIntervals } from '../../lib/ddi/device-deps.ts';
import { offerTimesOf } from '../../lib/ddi/poll-interval.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig(
  DatabaseConfig.extend(AdvancesConfig.shape).extend(DispatchesConfig.shape).extend(VerificationsConfig.shape).extend(PollConfig.shape),
  process.env,
);

export const handler = createHandler({
  ...createServiceDeps(config),
  advances: createSqsQueue(config.ADVANCES_QUEUE_URL),
  dispatches: createSqsQueue(config.DISPATCHES_QUEUE_URL),
  verifications: createSqsQueue(config.VERIFICATIONS_QUEUE_URL),
  offerTimes: offerTimesOf(toPollIntervals(config)),
});
