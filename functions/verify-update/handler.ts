import type { SQSHandler } from 'aws-lambda';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import type { Queue } from '../../lib/ports/queue.ts';
import { type VerifyUpdateDeps, verifyUpdate } from '../../lib/report/verify-update.ts';
import { VerifyMessage } from '../../lib/update/messages.ts';

export const createHandler =
  (deps: VerifyUpdateDeps & ConsumerDeps & { verifications: Queue<VerifyMessage> }): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, {
      schema: VerifyMessage,
      queue: deps.verifications,
      work: (message) => verifyUpdate(deps, message, context.getRemainingTimeInMillis()),
    });
