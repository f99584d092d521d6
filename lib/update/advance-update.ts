import { addSeconds, type Clock, secondsBetween } from '../clock.ts';
import type { Db } from '../db/database.ts';
import type { Log } from '../log.ts';
import type { Queue } from '../ports/queue.ts';
import { listUnansweredDispatches } from './dispatch-queries.ts';
import { findRemaining, releaseExecutions } from './execution-queries.ts';
import type { AdvanceMessage, DispatchMessage } from './messages.ts';
import { paceWindow } from './pace.ts';
import { isEnded } from './update.ts';
import { finishStep, lockUpdate, markStepSent } from './update-queries.ts';

export interface AdvanceUpdateDeps {
  db: Db;
  advances: Queue<AdvanceMessage>;
  dispatches: Queue<DispatchMessage>;
  log: Log;
  now: Clock;
}

/** What the backend takes in one call (design.md section 7). */
const chunkSize = 100;
/** Bounds a step's transaction and its messages; with a step a second this is above every pace a fleet can stand. */
const maximumPerStep = 10_000;
/** Longer than a request can take: after this, an update that does not exist was never committed. */
const abandonedAfterSeconds = 60;
const commitDelaySeconds = 2;
const shortestDelaySeconds = 1;
const longestDelaySeconds = 30;

type StepResult = { kind: 'missing' | 'ended' | 'passed' } | { kind: 'done'; nextDelaySeconds: number | null };

/**
 * Does one step of an update: releases what the pace allows, hands it to the dispatches queue, and sends the message of the next step,
 * until the update has ended. Repeating a step, after a crash anywhere in it, releases nothing twice and sends what may not have been
 * sent.
 *
 * @throws `queue.unavailable`, `database.unavailable`: the message has to come again.
 */
export async function advanceUpdate(deps: AdvanceUpdateDeps, message: AdvanceMessage): Promise<void> {
  const { update_id, step } = message;
  const now = deps.now();
  const result = await doStep(deps.db, message, now);

  if (result.kind === 'missing') return waitForCommit(deps, message, now);
  if (result.kind === 'done') {
    // Before the next step's message: if this fails, the message of this step comes again and finds these chunks unanswered.
    const dispatches = await listUnansweredDispatches(deps.db, update_id, step);
    if (dispatches.length > 0) await deps.dispatches.send(dispatches.map((dispatch_id) => ({ dispatch_id })));
    if (result.nextDelaySeconds !== null) {
      await deps.advances.send([{ update_id, step: step + 1, created_dt: message.created_dt }], { delaySeconds: result.nextDelaySeconds });
      await markStepSent(deps.db, update_id, step + 1);
    }
  }
}

const doStep = (db: Db, { update_id, step }: AdvanceMessage, now: Date): Promise<StepResult> =>
  db.transaction().execute(async (trx) => {
    const update = await lockUpdate(trx, update_id);
    if (!update) return { kind: 'missing' };
    // Another message carries the walk on: this one is a duplicate that came late.
    if (update.next_step > step + 1 || update.sent_step > step) return { kind: 'passed' };
    if (update.next_step === step + 1) {
      // The step was done, but perhaps not all of its messages were sent.
      return { kind: 'done', nextDelaySeconds: isEnded(update.status) ? null : shortestDelaySeconds };
    }
    if (isEnded(update.status)) return { kind: 'ended' };

    const released = await releaseExecutions(trx, {
      update_id,
      step,
      window: paceWindow(update.maximum_per_minute),
      maximum_in_progress: update.maximum_in_progress,
      chunkSize,
      maximumPerStep,
      now,
    });
    const { hasUnfinished, next_attempt_dt } = await findRemaining(trx, update_id, now);
    const status = hasUnfinished ? 'IN_PROGRESS' : 'COMPLETED';
    await finishStep(trx, update_id, { nextStep: step + 1, status, now, hasReleased: released > 0 });
    const lastReleaseDt = released > 0 ? now : (update.last_release_dt ?? update.created_dt);
    return { kind: 'done', nextDelaySeconds: hasUnfinished ? delayUntilNextStep({ now, lastReleaseDt, next_attempt_dt }) : null };
  });

/**
 * An update that waits only for its devices is looked at less and less often, a tenth of the time since it last released any; one
 * that has devices to release is looked at when the first of them is due.
 */
export const delayUntilNextStep = (wait: { now: Date; lastReleaseDt: Date; next_attempt_dt: Date | null }): number => {
  const patience = secondsBetween(wait.lastReleaseDt, wait.now) / 10;
  const due = wait.next_attempt_dt ? secondsBetween(wait.now, wait.next_attempt_dt) : patience;
  return Math.min(longestDelaySeconds, Math.max(shortestDelaySeconds, Math.ceil(Math.min(patience, due) || due)));
};

/** The message was sent before the commit (README.md of this folder): looks again until the commit has come or cannot come any more. */
const waitForCommit = async ({ advances, log }: AdvanceUpdateDeps, message: AdvanceMessage, now: Date): Promise<void> => {
  if (now < addSeconds(message.created_dt, abandonedAfterSeconds)) return advances.send([message], { delaySeconds: commitDelaySeconds });
  log.warn('update was never committed', { update_id: message.update_id });
};
