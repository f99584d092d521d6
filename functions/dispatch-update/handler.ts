import type { SQSHandler } from 'aws-lambda';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import { DispatchMessage } from '../../lib/update/messages.ts';
import { type DispatchUpdateDeps, dispatchUpdate } from '../../lib/update/reach/dispatch-update.ts';

export const createHandler =
  (deps: DispatchUpdateDeps & ConsumerDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, DispatchMessage, (message) => dispatchUpdate(deps, message, context.getRemainingTimeInMillis()));
