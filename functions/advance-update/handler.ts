import type { SQSHandler } from 'aws-lambda';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import { AdvanceMessage } from '../../lib/update/messages.ts';
import { type AdvanceUpdateDeps, advanceUpdate } from '../../lib/update/walk/advance-update.ts';

export const createHandler =
  (deps: AdvanceUpdateDeps & ConsumerDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, {
      schema: AdvanceMessage,
      queue: deps.advances,
      work: (message) => advanceUpdate(deps, message),
    });
