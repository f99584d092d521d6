import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type * as z from 'zod/mini';
import { type Log, logWith } from './log.ts';
import { count, type Metrics, milliseconds } from './metrics.ts';

export interface ConsumerDeps {
  log: Log;
  /** Without it nothing is measured. */
  metrics?: Metrics;
}

/**
 * Does the work of every message of a batch and hands back only those that failed, so that SQS repeats them and, after the queue's
 * number of tries, moves them to the dead-letter queue. A malformed message fails like any other. What is logged meanwhile has the
 * ids of the invocation and the message.
 */
export const eachRecord = async <S extends z.ZodMiniType>(
  { log, metrics }: ConsumerDeps,
  event: SQSEvent,
  context: Context,
  schema: S,
  work: (message: z.output<S>) => Promise<void>,
): Promise<SQSBatchResponse> => {
  const started = performance.now();
  const idsOf = (message_id: string) => ({ request_id: context.awsRequestId, message_id });
  const outcomes = await Promise.allSettled(
    event.Records.map(({ body, messageId }) => logWith(idsOf(messageId), async () => work(await schema.parseAsync(JSON.parse(body))))),
  );
  const batchItemFailures = outcomes.flatMap((outcome, i) => {
    const messageId = event.Records[i]?.messageId;
    if (outcome.status === 'fulfilled' || !messageId) return [];
    const error = outcome.reason instanceof Error ? outcome.reason : new Error(String(outcome.reason));
    log.error('message failed', { ...idsOf(messageId), error });
    return [{ itemIdentifier: messageId }];
  });
  metrics?.publish(
    {
      messages: count(event.Records.length),
      failed_messages: count(batchItemFailures.length),
      duration: milliseconds(performance.now() - started),
    },
    { function: context.functionName },
  );
  return { batchItemFailures };
};
