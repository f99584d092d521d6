import * as z from 'zod/mini';
import { addSeconds } from './clock.ts';
import type { Queue } from './ports/queue.ts';

/** How far a walk is. A walk is carried on by a chain of messages, one for each step (lib/update/README.md). */
export interface Walk {
  /** The step that has to be done next. */
  next_step: number;
  /** The last step whose message is known to be sent. */
  sent_step: number;
}

/** With one step per second, 60 years: no walk has a step above this. */
export const Step = z.int().check(z.minimum(0), z.maximum(2_000_000_000));

/** Another delivery is doing the same work. It is thrown so that the message stays until that work has ended; it is no failure. */
export class UnderWay extends Error {
  override readonly name = 'UnderWay';
}

/** A message that this service cannot have sent. It is thrown so that the message ends in the dead-letter queue. */
export class StrangeMessage extends Error {
  override readonly name = 'StrangeMessage';
}

/** After a restore of the database, messages may be ahead of the stored step: by two weeks at most, with one step per second. */
const furthestAhead = 2_000_000;

/**
 * What the message of a step finds:
 *
 * - `due`: the step is still to be done;
 * - `done`: it was done, but perhaps the message of the next one was not sent;
 * - `passed`: another message carries the walk on: this one is a duplicate that came late.
 *
 * @throws {@link StrangeMessage} for a step that the walk cannot have come to.
 */
export const stateOfStep = (step: number, { next_step, sent_step }: Walk): 'due' | 'done' | 'passed' => {
  if (step > next_step + furthestAhead) throw new StrangeMessage(`Step ${step} is too far ahead of step ${next_step}`);
  if (next_step > step + 1 || sent_step > step) return 'passed';
  return next_step === step + 1 ? 'done' : 'due';
};

/** Steps are at most half a minute apart, unless an update sleeps or rests. If this has passed, a step was missed. */
export const latestStepSeconds = 60;

/** Longer than the delays of SQS vary, and longer than the second delivery of a step takes. A later step is shown and counted as late. */
export const lateAfterSeconds = 300;

/**
 * If no function has taken a chunk for so long, its message is probably lost. If it is not lost but slow, a second message does no harm.
 */
export const lostAfterSeconds = 300;

/** Whether a step that was due at this time is late: its message is lost, or the service cannot do it. */
export const isLate = (due_dt: Date | null, now: Date): boolean => due_dt !== null && now > addSeconds(due_dt, lateAfterSeconds);

/** The first message becomes visible only after this, so that the transaction has nearly always been committed by then. */
export const firstStepDelaySeconds = 1;
/** Longer than a request can take: if the walk's row does not exist after this, it was never committed. */
const abandonedAfterSeconds = 60;
const commitDelaySeconds = 2;

/**
 * For a message whose row does not exist yet, because the message was sent before the commit: sends it again until the row exists or cannot
 * come any more. False: it cannot come any more.
 *
 * @throws {@link StrangeMessage} for a message with a time in the future, which would be sent again for ever.
 */
export const waitForCommit = async <Message extends { created_dt: Date }>(
  queue: Queue<Message>,
  message: Message,
  now: Date,
): Promise<boolean> => {
  if (message.created_dt > addSeconds(now, abandonedAfterSeconds)) {
    throw new StrangeMessage(`A message of ${message.created_dt.toISOString()} is of the future`);
  }
  if (now >= addSeconds(message.created_dt, abandonedAfterSeconds)) return false;
  await queue.send([message], { delaySeconds: commitDelaySeconds });
  return true;
};
