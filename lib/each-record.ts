import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import * as z from 'zod/mini';
import { toDomainError } from './db/database-error.ts';
import { DomainError } from './errors.ts';
import { type Log, logWith } from './log.ts';
import { count, type Metrics, milliseconds } from './metrics.ts';
import type { Queue } from './ports/queue.ts';
import { UnderWay } from './walk.ts';

export interface ConsumerDeps {
  log: Log;
  /** Without it nothing is measured. */
  metrics?: Metrics;
}

export interface Consumer<S extends z.ZodMiniType> {
  schema: S;
  /** Where the messages come from. A message that has to wait for a dependency is sent to this queue anew. */
  queue: Queue<object>;
  work: (message: z.output<S>) => Promise<void>;
}

/**
 * What became of a message:
 *
 * - `done`;
 * - `deferred`: a dependency is away; the message is sent anew, with a delay, and this delivery is acknowledged;
 * - `waiting`: another delivery is at work on it; it is handed back;
 * - `failed`: for a reason of its own, or because not even the queue takes messages; it is handed back.
 */
type Outcome = 'done' | 'deferred' | 'waiting' | 'failed';

/**
 * Does the work of every message of a batch. A message that fails because a dependency is away is sent anew: the copy has a full count of
 * deliveries and a full retention, so that no outage, however long, uses them up. Only a message that is malformed or fails for another reason
 * is handed back; SQS then repeats it and, after the queue's number of tries, moves it to the dead-letter queue. Log lines have the ids of the
 * invocation and the message.
 */
export const eachRecord = async <S extends z.ZodMiniType>(
  { log, metrics }: ConsumerDeps,
  event: SQSEvent,
  context: Context,
  consumer: Consumer<S>,
): Promise<SQSBatchResponse> => {
  const started = performance.now();
  const outcomes = await Promise.all(
    event.Records.map(({ body, messageId }) =>
      logWith({ request_id: context.awsRequestId, message_id: messageId }, () =>
        handleMessage(log, { body, message_id: messageId }, consumer),
      ),
    ),
  );
  const countOf = (wanted: Outcome) => count(outcomes.filter((outcome) => outcome === wanted).length);
  metrics?.publish(
    {
      messages: count(event.Records.length),
      failed_messages: countOf('failed'),
      deferred_messages: countOf('deferred'),
      duration: milliseconds(performance.now() - started),
    },
    { function: context.functionName },
  );
  const isHandedBack = (outcome: Outcome | undefined) => outcome === 'failed' || outcome === 'waiting';
  const handedBack = event.Records.filter((_, i) => isHandedBack(outcomes[i]));
  return { batchItemFailures: handedBack.map(({ messageId }) => ({ itemIdentifier: messageId })) };
};

interface ReceivedMessage {
  body: string;
  message_id: string;
}

/** Does the work of one message and says what became of it. Throws nothing. */
export const handleMessage = async <S extends z.ZodMiniType>(
  log: Log,
  { body, message_id }: ReceivedMessage,
  { schema, queue, work }: Consumer<S>,
): Promise<Outcome> => {
  try {
    await work(await schema.parseAsync(JSON.parse(body)));
    return 'done';
  } catch (error) {
    if (error instanceof UnderWay) {
      log.info('message waits for another delivery', { message_id, error });
      return 'waiting';
    }
    if (isAway(error) && (await sendAnew(log, { body, message_id }, queue, error))) return 'deferred';
    log.error('message failed', { message_id, error: toError(error) });
    return 'failed';
  }
};

const shortestDelaySeconds = 5;
/** A longer delay would only make work resume later after an outage; one message per minute costs nothing. */
const longestDelaySeconds = 60;

/** How often a message was sent anew; a field that is added to the message's own. */
const Deferred = z.catch(z.object({ deferrals: z.int().check(z.minimum(0)) }), { deferrals: 0 });

const sendAnew = async (log: Log, { body, message_id }: ReceivedMessage, queue: Queue<object>, error: unknown): Promise<boolean> => {
  const message = JSON.parse(body) as object;
  const { deferrals } = Deferred.parse(message);
  const delaySeconds = Math.min(longestDelaySeconds, shortestDelaySeconds * 2 ** Math.min(deferrals, 10));
  try {
    await queue.send([{ ...message, deferrals: deferrals + 1 }], { delaySeconds });
    log.warn('message deferred', { message_id, deferrals, delay_seconds: delaySeconds, error: toError(error) });
    return true;
  } catch (unsent) {
    log.error('message could not be deferred', { message_id, error: toError(unsent) });
    return false;
  }
};

const awayCodes = new Set(['database.unavailable', 'storage.unavailable', 'queue.unavailable', 'signing.unavailable']);

/** Whether a dependency does not answer. If one of several errors says so, the message is sent anew; the others show when it comes again. */
const isAway = (error: unknown): boolean => {
  if (error instanceof AggregateError && error.errors.some(isAway)) return true;
  const known = toDomainError(error);
  return known instanceof DomainError && awayCodes.has(known.code);
};

const toError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
