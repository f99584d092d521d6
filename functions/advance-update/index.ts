import {
  AdvancesConfig,
  DatabaseConfig,
  DispatchesConfig,
  EventsConfig,
  loadConfig,
  PollConfig,
  RetentionConfig,
  VerificationsConfig,
} from '../../lib/config.ts';
import { toPollIntervals } from '../../lib/ddi/device-deps.ts';
import { offerTimesOf } from '../../lib/ddi/poll-interval.ts';
import { createEventBridgeBus } from '../../lib/ports/eventbridge-event-bus.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { removeOldRows } from '../../lib/retention/remove-old-rows.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig(
  { ...DatabaseConfig, ...AdvancesConfig, ...DispatchesConfig, ...VerificationsConfig, ...PollConfig, ...EventsConfig, ...RetentionConfig },
  process.env,
);

const deps = createServiceDeps(config);

export const handler = createHandler({
  ...deps,
  advances: createSqsQueue(config.ADVANCES_QUEUE_URL),
  dispatches: createSqsQueue(config.DISPATCHES_QUEUE_URL),
  verifications: createSqsQueue(config.VERIFICATIONS_QUEUE_URL),
  offerTimes: offerTimesOf(toPollIntervals(config)),
  events: config.EVENT_BUS_NAME === '' ? undefined : createEventBridgeBus(config.EVENT_BUS_NAME),
  removeOldRows: (now) => removeOldRows(deps.db, config.HISTORY_MONTHS, now),
});
