import type { SQSHandler } from 'aws-lambda';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import { type AdvanceObservationDeps, advanceObservation } from '../../lib/observation/advance-observation.ts';
import { ObserveMessage } from '../../lib/observation/messages.ts';

export const createHandler =
  (deps: AdvanceObservationDeps & ConsumerDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, {
      schema: ObserveMessage,
      queue: deps.observations,
      work: (message) => advanceObservation(deps, message, () => context.getRemainingTimeInMillis()),
    });
