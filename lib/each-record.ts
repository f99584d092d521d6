import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import type * as z from 'zod';
import type { Log } from './log.ts';

/**
 * Does the work of every message of a batch and hands back only those that failed, so that SQS repeats them and, after the queue's
 * number of tries, moves them to the dead-letter queue. A malformed message fails like any other.
 */
export const eachRecord = async <S extends z.ZodType>(
  { log }: { log: Log },
  event: SQSEvent,
  context: Context,
  schema: S,
  work: (message: z.output<S>, record: SQSRecord) => Promise<void>,
): Promise<SQSBatchResponse> => {
  const outcomes = await Promise.allSettled(
    event.Records.map(async (record) => work(await schema.parseAsync(JSON.parse(record.body)), record)),
  );
  const batchItemFailures = outcomes.flatMap((outcome, i) => {
    const messageId = event.Records[i]?.messageId;
    if (outcome.status === 'fulfilled' || !messageId) return [];
    const error = outcome.reason instanceof Error ? outcome.reason : new Error(String(outcome.reason));
    log.error('message failed', { request_id: context.awsRequestId, message_id: messageId, error });
    return [{ itemIdentifier: messageId }];
  });
  return { batchItemFailures };
};
