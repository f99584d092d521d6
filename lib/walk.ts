import * as z from 'zod/mini';
import { addSeconds } from './clock.ts';
import type { Queue } from './ports/queue.ts';

/** How far a walk is, beside its chain of messages, one step each (lib/update/README.md). */
export interface Walk {
  /** The step that has to be done next. */
  next_step: number;
  /** The last step whose message is known to be sent. */
  sent_step: number;
}

/** A step a second for 60 years: what is above it is no step of any walk. */
export const Step = z.int().check(z.minimum(0), z.maximum(2_000_000_000));

/** Another delivery is at work on the same thing: thrown, so that the message stays until that work has ended. It is no failure. */
export class UnderWay extends Error {
  override readonly name = 'UnderWay';
}

/** A message that nobody here has sent: thrown, so that it ends in the dead-letter queue. */
export class StrangeMessage extends Error {
  override readonly name = 'StrangeMessage';
}

/** After a restore of the database, messages of two weeks, a step a second, are ahead of what is stored; nothing is further. */
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
export const placeOf = (step: number, { next_step, sent_step }: Walk): 'due' | 'done' | 'passed' => {
  if (step > next_step + furthestAhead) throw new StrangeMessage(`Step ${step} is too far ahead of step ${next_step}`);
  if (next_step > step + 1 || sent_step > step) return 'passed';
  return next_step === step + 1 ? 'done' : 'due';
};

/** Longer than SQS and the delay of a step vary, and than one step's second delivery takes; a late step is shown and counted. */
export const lateAfterSeconds = 300;

/**
 * A chunk that nobody has taken to the backend for so long has probably lost its message. If it has not, because the backend is slow, a second
 * message does no harm.
 */
export const lostAfterSeconds = 300;

/** Whether a step that was due then has not come. Its message is lost, or nobody can do it. */
export const isLate = (due_dt: Date | null, now: Date): boolean => due_dt !== null && now > addSeconds(due_dt, lateAfterSeconds);

/** The first message is visible no sooner than this, so that the commit has nearly always happened by then. */
export const firstStepDelaySeconds = 1;
/** Longer than a request can take: after this, a walk that does not exist was never committed. */
const abandonedAfterSeconds = 60;
const commitDelaySeconds = 2;

/**
 * For a message without a row, because it was sent before the commit: looks again until the commit has come or cannot come any more.
 * False: it cannot come any more.
 *
 * @throws {@link StrangeMessage} for a message of the future: it would be looked for for ever.
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
