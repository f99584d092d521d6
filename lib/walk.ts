import { addSeconds } from './clock.ts';
import type { Queue } from './ports/queue.ts';

/** How far a walk is, beside its chain of messages, one step each (lib/update/README.md). */
export interface Walk {
  /** The step that has to be done next. */
  next_step: number;
  /** The last step whose message is known to be sent. */
  sent_step: number;
}

/**
 * What the message of a step finds:
 *
 * - `due`: the step is still to be done;
 * - `done`: it was done, but perhaps the message of the next one was not sent;
 * - `passed`: another message carries the walk on: this one is a duplicate that came late.
 */
export const placeOf = (step: number, { next_step, sent_step }: Walk): 'due' | 'done' | 'passed' => {
  if (next_step > step + 1 || sent_step > step) return 'passed';
  return next_step === step + 1 ? 'done' : 'due';
};

/** The first message is visible no sooner than this, so that the commit has nearly always happened by then. */
export const firstStepDelaySeconds = 1;
/** Longer than a request can take: after this, a walk that does not exist was never committed. */
const abandonedAfterSeconds = 60;
const commitDelaySeconds = 2;

/**
 * For a message without a row, because it was sent before the commit: looks again until the commit has come or cannot come any more.
 * False: it cannot come any more.
 */
export const waitForCommit = async <Message extends { created_dt: Date }>(
  queue: Queue<Message>,
  message: Message,
  now: Date,
): Promise<boolean> => {
  if (now >= addSeconds(message.created_dt, abandonedAfterSeconds)) return false;
  await queue.send([message], { delaySeconds: commitDelaySeconds });
  return true;
};
