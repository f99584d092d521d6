import type { SQSHandler } from 'aws-lambda';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import { tellLateUpdates } from '../../lib/update/late-updates.ts';
import { AdvanceMessage } from '../../lib/update/messages.ts';
import { type AdvanceUpdateDeps, advanceUpdate } from '../../lib/update/walk/advance-update.ts';

export const createHandler =
  (deps: AdvanceUpdateDeps & ConsumerDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, {
      schema: AdvanceMessage,
      queue: deps.advances,
      work: async (message) => {
        await advanceUpdate(deps, message);
        await tellLateUpdates(deps.db, deps.metrics, deps.now());
      },
    });
