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
import { adoptDispatches, listUnansweredDispatches, listVerifications, scheduleVerifications } from '../reach/dispatch-queries.ts';
import { leaseSeconds } from '../reach/dispatch-update.ts';
import { getOfferProgress, type OfferTimes, offerExecutions, withdrawOffers } from '../reach/offer-queries.ts';
import { changeUpdate, type LockedUpdate, lockUpdate, markStepSent, type UpdateChange } from '../update-queries.ts';
import { isEnded, isRunning } from '../update-status.ts';
import { cancelExecutions, maximumCanceledByStep } from './cancel-queries.ts';
import { expireExecutions } from './deadline-queries.ts';
import { allowance, freePlaces, maximumCommandsOf, windowSecondsOf } from './pace.ts';
import { getProgress, type Progress } from './progress-queries.ts';
import { findRemaining, type Remaining, releaseExecutions } from './release-queries.ts';
import { findStop, judgeCanary, type Stop } from './stop-rules.ts';
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
const defaultOfferTimes: OfferTimes = { aliveSeconds: 1_050, standSeconds: 760 };
/** What the backend takes in one call (scooters-backend.openapi.yaml). */
const chunkSize = 100;
/** Bounds a step's transaction and its messages; with a step a second this is above every pace a fleet can stand. */
const maximumPerStep = 10_000;
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
  const offerTimes = update.includes_iot ? times : null;
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

  // One that is paused or canceled before its time has not started.
  const started_dt = update.started_dt ?? (isRunning(update.status) ? now : null);
  const outages = await noteMissedSteps(trx, update, now);
  await expireOverdue(trx, update, started_dt, outages, now);
  const lostBefore = addSeconds(now, -lostAfterSeconds);
  await adoptDispatches(trx, update_id, step, { releasedBefore: lostBefore, calledBefore: lostBefore, now });
  const change: UpdateChange = { next_step: step + 1, stepped_dt: now, ...(started_dt && { started_dt }) };
  let released = 0;
  let isCanceling = false;
  if (isRunning(update.status)) {
    change.status = 'IN_PROGRESS';
    const windowSeconds = windowSecondsOf(update);
    if (offerTimes) await withdrawOffers(trx, update_id, addSeconds(now, -offerTimes.standSeconds), now);
    const progress = await getProgress(trx, update_id, { now, windowSeconds, leaseSeconds });
    if (offerTimes) {
      progress.offers = await getOfferProgress(trx, update_id, { now, windowSeconds, times: offerTimes, atMost: maximumPerStep });
    }
    const decision = decide(update, progress, now, outages);
    if (decision.stop) Object.assign(change, stopUpdate(decision.stop, now));
    else released = await release(trx, update, step, decision, offerTimes, now);
    if (decision.stop?.action === 'ABORT') isCanceling = await cancelWaiting(trx, { ...update, status: 'ABORTED' }, now);
    if (decision.hasPassed) change.canary_passed_dt = now;
    if (decision.isCanary && released > 0) change.canary_started_dt = update.canary_started_dt ?? now;
    if (released > 0) change.last_release_dt = now;
  } else if (isEnded(update.status)) {
    // Those that the last step or the cancel left, and those that were being handed to the backend then and that it did not take.
    isCanceling = await cancelWaiting(trx, update, now);
  }
  await scheduleVerifications(trx, update, step, now);

  const remaining = await findRemaining(trx, update_id, now, offerTimes);
  if (!remaining.hasUnfinished) {
    change.finished_dt = now;
    await keepFinalFigures(trx, update_id);
    // A paused update without anything left to do is complete as well.
    const status = change.status ?? update.status;
    if (!isEnded(status)) change.status = 'COMPLETED';
  }
  const lastReleaseDt = change.last_release_dt ?? update.last_release_dt ?? update.created_dt;
  const isReleasing = isRunning(change.status ?? update.status);
  const delaySeconds = isCanceling ? brakingDelaySeconds : delayUntilNextStep({ now, lastReleaseDt, remaining, isReleasing });
  const nextDelaySeconds = remaining.hasUnfinished ? delaySeconds : null;
  await changeUpdate(trx, update_id, { ...change, due_dt: nextDelaySeconds === null ? null : addSeconds(now, nextDelaySeconds) });
  return { kind: 'done', nextDelaySeconds, finished_dt: change.finished_dt ?? null };
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

interface Decision {
  stop?: Stop;
  /** How many may be released. */
  limit: number;
  /** How many of them may take a place of `maximum_in_progress`; null: there is no limit. */
  places: number | null;
  /** Whether they belong to the canary. */
  isCanary: boolean;
  /** How many of them may be new to the canary: those that the backend has put off are asked again beside them. */
  newCanaries: number;
  /** What of it all devices that poll may have: more than their share when the others do not need theirs. */
  offers: { limit: number; newCanaries: number };
  /** Whether the canary has passed in this step. */
  hasPassed: boolean;
}

/** What a running update does next; a pure function of what is known at the step. */
export const decide = (
  update: Pick<
    LockedUpdate,
    | 'planned'
    | 'abort'
    | 'canary'
    | 'canary_started_dt'
    | 'canary_passed_dt'
    | 'resumed_counts'
    | 'firmware_status'
    | 'maximum_per_minute'
    | 'maximum_in_progress'
    | 'exponential'
  > & { includes_iot?: boolean },
  progress: Progress,
  now: Date,
  outages: readonly Outage[] = [],
): Decision => {
  const noOffers = { limit: 0, newCanaries: 0 };
  const nothing = { limit: 0, places: null, isCanary: false, newCanaries: 0, offers: noOffers, hasPassed: false };
  // The same bytes can be put there again: the update waits for them.
  if (update.firmware_status === 'lost') return { ...nothing, stop: { action: 'PAUSE', reason: reasons.firmwareLost } };
  if (update.firmware_status !== 'available') return { ...nothing, stop: { action: 'ABORT', reason: reasons.firmwareWithdrawn } };
  const alreadyOnTarget = update.planned.ALREADY_ON_TARGET ?? 0;
  const stop = findStop(update.abort, { counts: progress.judged, alreadyOnTarget, resumedCounts: update.resumed_counts });
  if (stop) return { ...nothing, stop };

  const { canary } = update;
  const { chosen, waiting, succeeded, failed } = progress.canary;
  let isCanary = canary !== null && update.canary_passed_dt === null;
  let hasPassed = false;
  if (canary && isCanary) {
    const startedDt = update.canary_started_dt;
    const hasWaited = startedDt !== null && startedDt <= heardSince(now, canary.minimum_wait_minutes * 60, outages);
    const verdict = judgeCanary({ ...canary, succeeded, failed, hasWaited });
    if (verdict === 'failed') {
      return { ...nothing, stop: { action: 'ABORT', reason: `CANARY_FAILED: ${failed} of ${canary.size} failed` } };
    }
    hasPassed = verdict === 'passed';
    isCanary = !hasPassed;
  }
  const newCanaries = canary && isCanary ? Math.max(0, canary.size - chosen) : 0;
  const places = freePlaces(update.maximum_in_progress, progress.inProgress);
  const { standing, takenInWindow, offerable } = progress.offers ?? { standing: 0, takenInWindow: 0, offerable: 0 };
  const limits = {
    maximumCommands: maximumCommandsOf(update, progress.counts.SUCCEEDED - alreadyOnTarget),
    commandsInWindow: progress.commandsInWindow + standing + takenInWindow,
    isUnderWay: progress.isUnderWay,
    places,
    canaryLeft: isCanary ? newCanaries + waiting : null,
    now,
  };
  const limit = Math.min(maximumPerStep, allowance({ ...limits, gate: progress.gate, unanswered: progress.unanswered }));
  if (offerable === 0) return { limit, places, isCanary, newCanaries, offers: noOffers, hasPassed };

  // Both kinds of devices at one pace: devices that poll have as large a share as they are of those that wait.
  const forAll = Math.min(maximumPerStep, allowance({ ...limits, gate: null, unanswered: 0 }));
  const share = offerable / Math.max(offerable, progress.counts.QUEUED);
  const offers = { limit: forAll, newCanaries: Math.ceil(newCanaries * share) };
  const rest = Math.max(0, Math.min(limit, forAll + progress.unanswered - Math.ceil(forAll * share)));
  return { limit: rest, places, isCanary, newCanaries: newCanaries - offers.newCanaries, offers, hasPassed };
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
