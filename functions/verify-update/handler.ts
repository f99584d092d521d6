import type { SQSHandler } from 'aws-lambda';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import { VerifyMessage } from '../../lib/update/messages.ts';
import { type VerifyUpdateDeps, verifyUpdate } from '../../lib/update/verify-update.ts';

export const createHandler =
  (deps: VerifyUpdateDeps & ConsumerDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, VerifyMessage, (message) => verifyUpdate(deps, message, context.getRemainingTimeInMillis()));
