import type { SQSHandler } from 'aws-lambda';
import { eachRecord } from '../../lib/each-record.ts';
import { VerifyMessage } from '../../lib/update/messages.ts';
import { type VerifyUpdateDeps, verifyUpdate } from '../../lib/update/verify-update.ts';

export const createHandler =
  (deps: VerifyUpdateDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, VerifyMessage, (message) => verifyUpdate(deps, message, context.getRemainingTimeInMillis()));
