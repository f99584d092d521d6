import { addSeconds, secondsBetween } from '../../clock.ts';
import type { Trx } from '../../db/database.ts';
import type { Queue } from '../../ports/queue.ts';
import { lostAfterSeconds, placeOf, waitForCommit } from '../../walk.ts';
import { hasUntold } from '../event-queries.ts';
import { reasons } from '../execution.ts';
import { keepFinalFigures } from '../figure-queries.ts';
import type { AdvanceMessage, DispatchMessage, VerifyMessage } from '../messages.ts';
import { heardSince, type Outage } from '../outage.ts';
import { noteMissedSteps } from '../outage-queries.ts';
import { adoptDispatches, listUnansweredDispatches } from '../reach/dispatch-queries.ts';
import { leaseSeconds } from '../reach/dispatch-update.ts';
import { listVerifications, scheduleVerifications } from '../reach/look-up-queries.ts';
import { getOfferProgress, type OfferTimes, offerExecutions, withdrawOffers } from '../reach/offer-queries.ts';
import { changeUpdate, type LockedUpdate, lockUpdate, markStepSent, type UpdateChange } from '../update-queries.ts';
import { isEnded, isRunning } from '../update-status.ts';
import { aliveSeconds } from '../waits-for.ts';
import { cancelExecutions, maximumCanceledByStep } from './cancel-queries.ts';
import { expireExecutions } from './deadline-queries.ts';
import { type Decision, decide, maximumPerStep } from './decide.ts';
import { windowSecondsOf } from './pace.ts';
import { getProgress } from './progress-queries.ts';
import { findRemaining, type Remaining, releaseExecutions } from './release-queries.ts';
import type { Stop } from './stop-rules.ts';
import { type TellEventsDeps, type Told, tellEvents } from './tell-events.ts';

export interface AdvanceUpdateDeps extends TellEventsDeps {
  advances: Queue<AdvanceMessage>;
  dispatches: Queue<DispatchMessage>;
  verifications: Queue<VerifyMessage>;
  /** When devices that poll are offered their work, and for how long. */
  offerTimes?: OfferTimes;
  /** Removes a batch of rows that are older than is kept, whose they ever are; answers whether there may be more. Missing: all are kept. */
  removeOldRows?: (now: Date) => Promise<boolean>;
}

/** For devices that poll every five minutes. */
const defaultOfferTimes: OfferTimes = { aliveSeconds, standSeconds: 760 };
/** What the backend takes in one call (scooters-backend.openapi.yaml). */
const chunkSize = 100;
/** A device that keeps saying that it is at work is given up after so many times the deadline. */
const longestProgress = 10;
const shortestDelaySeconds = 1;
/** While those that wait are being ended, nothing has to be waited for. */
const brakingDelaySeconds = 0;
const longestDelaySeconds = 30;
/** SQS's own limit. */
const longestScheduleDelaySeconds = 900;

/** Events of an update that has ended are kept for a bus that is away this long. */
const longestToldAfterSeconds = 86_400;

type StepResult =
  | { kind: 'missing' | 'passed' }
  /** `nextDelaySeconds` is null when the last execution has ended. `isRepeated`: the step had been done before. */
  | { kind: 'done'; nextDelaySeconds: number | null; finished_dt: Date | null; isRepeated?: true };

/**
 * Does one step of an update: ends what is overdue, judges the stop rules and the canary, releases what the pace allows, hands it to the
 * dispatches queue, asks for look-ups that are due, tells events, and sends the message of the next step, until the last execution has
 * ended. Repeating a step, after a crash anywhere in it, releases nothing twice and sends what may not have been sent.
 *
 * @throws `queue.unavailable`, `database.unavailable`: the message has to come again.
 */
export async function advanceUpdate(deps: AdvanceUpdateDeps, message: AdvanceMessage): Promise<void> {
  const { db, dispatches, verifications } = deps;
  const { update_id, step } = message;
  const now = deps.now();
  const result = await db.transaction().execute((trx) => doStep(trx, message, deps.offerTimes ?? defaultOfferTimes, now));

  if (result.kind === 'missing') {
    const isAwaited = await waitForCommit(deps.advances, message, now);
    if (!isAwaited) deps.log.warn('update was never committed', { update_id });
    return;
  }
  if (result.kind !== 'done') return;
  // Before the next step's message: if one of these fails, the message of this step comes again and finds them.
  const released = await listUnansweredDispatches(db, update_id, step);
  if (released.length > 0) await dispatches.send(released.map((dispatch_id) => ({ dispatch_id })));
  const unproven = await listVerifications(db, update_id, step);
  if (unproven.length > 0) await verifications.send(unproven.map((dispatch_id) => ({ dispatch_id })));
  const delaySeconds = result.isRepeated
    ? await delayOfRepetition(deps, result, update_id)
    : (delayAfterTelling(result, await tellEvents(deps, update_id), now) ?? (await delayAfterRemoving(deps, now)));
  if (delaySeconds === null) return;
  await deps.advances.send([{ update_id, step: step + 1, created_dt: message.created_dt }], { delaySeconds });
  await markStepSent(db, update_id, step + 1);
}

type Done = StepResult & { kind: 'done' };

/** Whoever did the step tells, or has died: then the next step tells, which an update that has ended gets one more of if need be. */
const delayOfRepetition = async ({ db, events }: TellEventsDeps, { nextDelaySeconds }: Done, update_id: number): Promise<number | null> =>
  nextDelaySeconds ?? (events && (await hasUntold(db, update_id)) ? longestDelaySeconds : null);

/** A walk whose update has ended goes on while there are events left to tell. */
const delayAfterTelling = ({ nextDelaySeconds, finished_dt }: Done, told: Told, now: Date): number | null => {
  if (told === 'all') return nextDelaySeconds;
  if (told === 'some') return shortestDelaySeconds;
  const isGivenUp = finished_dt !== null && now > addSeconds(finished_dt, longestToldAfterSeconds);
  return nextDelaySeconds ?? (isGivenUp ? null : longestDelaySeconds);
};

/** Nothing runs by itself, so the walk of an update that has ended also removes what is old, a batch a step, until nothing is left. */
const delayAfterRemoving = async ({ removeOldRows }: AdvanceUpdateDeps, now: Date): Promise<number | null> =>
  (await removeOldRows?.(now)) ? shortestDelaySeconds : null;

const doStep = async (trx: Trx, { update_id, step }: AdvanceMessage, times: OfferTimes, now: Date): Promise<StepResult> => {
  const update = await lockUpdate(trx, update_id);
  if (!update) return { kind: 'missing' };
  const place = placeOf(step, update);
  if (place === 'passed') return { kind: 'passed' };
  if (place === 'done') {
    // Perhaps not all of its messages were sent.
    const { finished_dt } = update;
    return { kind: 'done', nextDelaySeconds: finished_dt ? null : shortestDelaySeconds, finished_dt, isRepeated: true };
  }
  if (update.finished_dt) {
    await changeUpdate(trx, update_id, { next_step: step + 1 });
    return { kind: 'done', nextDelaySeconds: null, finished_dt: update.finished_dt };
  }
  if (isRunning(update.status) && update.start_dt && update.start_dt > now) {
    const seconds = Math.ceil(secondsBetween(now, update.start_dt));
    const nextDelaySeconds = Math.min(longestScheduleDelaySeconds, Math.max(shortestDelaySeconds, seconds));
    await changeUpdate(trx, update_id, { next_step: step + 1, due_dt: addSeconds(now, nextDelaySeconds) });
    return { kind: 'done', nextDelaySeconds, finished_dt: null };
  }
  const { change, nextDelaySeconds } = await walkOn({ trx, update, step, offerTimes: update.includes_iot ? times : null, now });
  const due_dt = nextDelaySeconds === null ? null : addSeconds(now, nextDelaySeconds);
  await changeUpdate(trx, update_id, { ...change, next_step: step + 1, stepped_dt: now, due_dt });
  return { kind: 'done', nextDelaySeconds, finished_dt: change.finished_dt ?? null };
};

/** A step of an update that is locked, has been started and has not finished. */
interface Step {
  trx: Trx;
  update: LockedUpdate;
  step: number;
  /** null: none of its devices polls. */
  offerTimes: OfferTimes | null;
  now: Date;
}

/** What a step changes of its update, and whether those that wait are being ended, with others left. */
interface Stepped {
  change: UpdateChange;
  isCanceling?: boolean;
}

/** Answers what changes of the update, and when the next step is due; null: all has ended. */
const walkOn = async (context: Step): Promise<{ change: UpdateChange; nextDelaySeconds: number | null }> => {
  const { trx, update, step, offerTimes, now } = context;
  // One that is paused or canceled before its time has not started.
  const started_dt = update.started_dt ?? (isRunning(update.status) ? now : null);
  const outages = await noteMissedSteps(trx, update, now);
  await expireOverdue(trx, update, started_dt, outages, now);
  const lostBefore = addSeconds(now, -lostAfterSeconds);
  await adoptDispatches(trx, update.id, step, { releasedBefore: lostBefore, calledBefore: lostBefore, now });
  const { change, isCanceling } = await goOn(context, outages);
  if (started_dt) change.started_dt = started_dt;
  await scheduleVerifications(trx, update, step, now);

  const remaining = await findRemaining(trx, update.id, now, offerTimes);
  const status = change.status ?? update.status;
  if (!remaining.hasUnfinished) {
    await keepFinalFigures(trx, update.id);
    // A paused update without anything left to do is complete as well.
    return { change: { ...change, finished_dt: now, ...(!isEnded(status) && { status: 'COMPLETED' }) }, nextDelaySeconds: null };
  }
  const lastReleaseDt = change.last_release_dt ?? update.last_release_dt ?? update.created_dt;
  const nextDelaySeconds = isCanceling
    ? brakingDelaySeconds
    : delayUntilNextStep({ now, lastReleaseDt, remaining, isReleasing: isRunning(status) });
  return { change, nextDelaySeconds };
};

/** Releases what may be released, or ends what is not wanted any more. */
const goOn = async (context: Step, outages: readonly Outage[]): Promise<Stepped> => {
  const { trx, update, now } = context;
  if (isRunning(update.status)) return releaseOrStop(context, outages);
  // Those that the last step or the cancel left, and those that were being handed to the backend then and that it did not take.
  return { change: {}, isCanceling: isEnded(update.status) && (await cancelWaiting(trx, update, now)) };
};

const releaseOrStop = async ({ trx, update, step, offerTimes, now }: Step, outages: readonly Outage[]): Promise<Stepped> => {
  const windowSeconds = windowSecondsOf(update);
  if (offerTimes) await withdrawOffers(trx, update.id, addSeconds(now, -offerTimes.standSeconds), now);
  const progress = await getProgress(trx, update.id, { now, windowSeconds, leaseSeconds });
  if (offerTimes) {
    progress.offers = await getOfferProgress(trx, update.id, { now, windowSeconds, times: offerTimes, atMost: maximumPerStep });
  }
  const decision = decide(update, progress, now, outages);
  const change: UpdateChange = { status: 'IN_PROGRESS', ...(decision.hasPassed && { canary_passed_dt: now }) };
  if (decision.stop) {
    const isCanceling = decision.stop.action === 'ABORT' && (await cancelWaiting(trx, { ...update, status: 'ABORTED' }, now));
    return { change: { ...change, ...stopUpdate(decision.stop, now) }, isCanceling };
  }
  const released = await release(trx, update, step, decision, offerTimes, now);
  if (released > 0) change.last_release_dt = now;
  if (released > 0 && decision.isCanary) change.canary_started_dt = update.canary_started_dt ?? now;
  return { change };
};

/**
 * Queued time counts from the start, without the time spent paused; it is the same for all executions of an update. No deadline runs while
 * nobody could hear (outage.ts), which the time spent paused is counted without, too.
 */
const expireOverdue = async (
  trx: Trx,
  update: LockedUpdate,
  started_dt: Date | null,
  outages: readonly Outage[],
  now: Date,
): Promise<void> => {
  const { id, status, queued_minutes, in_progress_minutes, number_of_retries, retry_failure_types, paused_seconds } = update;
  await expireExecutions(
    trx,
    id,
    {
      // What still waits in an update that was stopped is canceled.
      areQueuedLate:
        started_dt !== null && isRunning(status) && started_dt <= heardSince(now, queued_minutes * 60 + paused_seconds, outages),
      sentBefore: heardSince(now, in_progress_minutes * 60, outages),
      givenUpBefore: heardSince(now, in_progress_minutes * 60 * longestProgress, outages),
      in_progress_minutes,
      mayRetry: !isEnded(status),
      number_of_retries,
      retry_failure_types,
    },
    now,
  );
};

/** To scooters-backend first; what it does not need is offered to devices that poll. */
const release = async (
  trx: Trx,
  { id: update_id }: LockedUpdate,
  step: number,
  { limit, places, isCanary, newCanaries, offers }: Decision,
  times: OfferTimes | null,
  now: Date,
): Promise<number> => {
  const canariesOf = (n: number) => (isCanary ? n : null);
  const released =
    limit > 0 ? await releaseExecutions(trx, { update_id, step, limit, places, newCanaries: canariesOf(newCanaries), chunkSize, now }) : 0;
  const left = offers.limit - released;
  if (!times || left <= 0) return released;
  return released + (await offerExecutions(trx, { update_id, step, limit: left, newCanaries: canariesOf(offers.newCanaries), times, now }));
};

const reasonOfEnd = ({ status, firmware_status, cancels_all }: LockedUpdate): string => {
  if (status === 'CANCELED' || cancels_all) return reasons.updateCanceled;
  return firmware_status === 'withdrawn' ? reasons.firmwareWithdrawn : reasons.updateAborted;
};

/** Of an update that was stopped: ends those that wait, a batch a step, and answers whether others are left. */
const cancelWaiting = async (trx: Trx, update: LockedUpdate, now: Date): Promise<boolean> => {
  const which = update.cancels_all ? 'all' : 'unasked';
  const cancel = { update_id: update.id, which, reason: reasonOfEnd(update), limit: maximumCanceledByStep, now } as const;
  return (await cancelExecutions(trx, cancel)).isMore;
};

/** A rule has stopped the update: those that wait are never asked (ABORT), or not for now (PAUSE). */
const stopUpdate = ({ action, reason }: Stop, now: Date): UpdateChange =>
  action === 'PAUSE' ? { status: 'PAUSED', reason, paused_dt: now } : { status: 'ABORTED', reason };

/**
 * An update that waits only for its devices is looked at less and less often, a tenth of the time since it last released any; one
 * that has devices to release is looked at when the first of them is due.
 */
export const delayUntilNextStep = ({
  now,
  lastReleaseDt,
  remaining,
  isReleasing,
}: {
  now: Date;
  lastReleaseDt: Date;
  remaining: Pick<Remaining, 'next_attempt_dt'>;
  isReleasing: boolean;
}): number => {
  const patience = Math.ceil(secondsBetween(lastReleaseDt, now) / 10);
  const dueDt = isReleasing ? remaining.next_attempt_dt : null;
  const due = dueDt ? Math.ceil(secondsBetween(now, dueDt)) : longestDelaySeconds;
  return Math.min(longestDelaySeconds, Math.max(shortestDelaySeconds, Math.min(patience, due)));
};
