import type { SQSHandler } from 'aws-lambda';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import { type VerifyUpdateDeps, verifyUpdate } from '../../lib/report/verify-update.ts';
import { VerifyMessage } from '../../lib/update/messages.ts';

export const createHandler =
  (deps: VerifyUpdateDeps & ConsumerDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, VerifyMessage, (message) => verifyUpdate(deps, message, context.getRemainingTimeInMillis()));
