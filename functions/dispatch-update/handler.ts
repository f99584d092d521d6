import type { SQSHandler } from 'aws-lambda';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import type { Queue } from '../../lib/ports/queue.ts';
import { DispatchMessage } from '../../lib/update/messages.ts';
import { type DispatchUpdateDeps, dispatchUpdate } from '../../lib/update/reach/dispatch-update.ts';

export const createHandler =
  (deps: DispatchUpdateDeps & ConsumerDeps & { dispatches: Queue<DispatchMessage> }): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, {
      schema: DispatchMessage,
      queue: deps.dispatches,
      work: (message) => dispatchUpdate(deps, message, context.getRemainingTimeInMillis()),
    });
