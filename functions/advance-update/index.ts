import {
  AdvancesConfig,
  DatabaseConfig,
  DispatchesConfig,
  EventsConfig,
  loadConfig,
  PollConfig,
  VerificationsConfig,
} from '../../lib/config.ts';
import { toPollIntervals } from '../../lib/ddi/device-deps.ts';
import { offerTimesOf } from '../../lib/ddi/poll-interval.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig(
  { ...DatabaseConfig, ...AdvancesConfig, ...DispatchesConfig, ...VerificationsConfig, ...PollConfig, ...EventsConfig },
  process.env,
);

/** Loaded only where there is a bus. */
const createEvents = async (name: string) => (await import('../../lib/ports/eventbridge-event-bus.ts')).createEventBridgeBus(name);

export const handler = createHandler({
  ...createServiceDeps(config),
  advances: createSqsQueue(config.ADVANCES_QUEUE_URL),
  dispatches: createSqsQueue(config.DISPATCHES_QUEUE_URL),
  verifications: createSqsQueue(config.VERIFICATIONS_QUEUE_URL),
  offerTimes: offerTimesOf(toPollIntervals(config)),
  events: config.EVENT_BUS_NAME === '' ? undefined : await createEvents(config.EVENT_BUS_NAME),
});
