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
import { leaseSeconds } from '../reach/lease.ts';
import { listVerifications, scheduleVerifications } from '../reach/look-up-queries.ts';
import { getOfferProgress, type OfferTimes, offerExecutions, withdrawOffers } from '../reach/offer-queries.ts';
import { changeUpdate, type LockedUpdate, lockUpdate, markStepSent, type UpdateChange } from '../update-queries.ts';
import { isEnded, isRunning } from '../update-status.ts';
import { aliveSeconds } from '../waits-for.ts';
import type { ZoneRoom } from '../zone-room.ts';
import { cancelExecutions, maximumCanceledByStep } from './cancel-queries.ts';
import { expireExecutions } from './deadline-queries.ts';
import { type Decision, decide, maximumPerStep } from './decide.ts';
import { windowSecondsOf } from './pace.ts';
import { getProgress } from './progress-queries.ts';
import { findRemaining, type Remaining, releaseExecutions } from './release-queries.ts';
import { isLimitedByZones, listRooms } from './room-queries.ts';
import type { Stop } from './stop-rules.ts';
import { type TellEventsDeps, type Told, tellEvents } from './tell-events.ts';

export interface AdvanceUpdateDeps extends TellEventsDeps {
  advances: Queue<AdvanceMessage>;
  dispatches: Queue<DispatchMessage>;
  verifications: Queue<VerifyMessage>;
  /** When devices that poll are offered their work, and for how long. */
  offerTimes?: OfferTimes;
  /** Removes a batch of old rows, also those of other updates; answers whether there may be more. Missing: nothing is removed. */
  removeOldRows?: (now: Date) => Promise<boolean>;
}

/** For devices that poll every five minutes. */
const defaultOfferTimes: OfferTimes = { aliveSeconds, standSeconds: 760 };
/** What the backend takes in one call (scooters-backend.openapi.yaml). */
const chunkSize = 100;
/** A device that keeps saying that it is at work is given up after this many times the deadline. */
const longestProgress = 10;
const shortestDelaySeconds = 1;
/** While an update's waiting executions are being ended, one step follows the other at once. */
const brakingDelaySeconds = 0;
const longestDelaySeconds = 30;
/** SQS's own limit. */
const longestScheduleDelaySeconds = 900;

/** How long the walk of a finished update goes on because the bus is away and events are left to tell. */
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
  // These are sent before the next step's message: if one of them fails, the message of this step comes again and finds them.
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

/**
 * A repeated step tells no events: the first one does. If the first one has died, the next step tells them; so a finished update with events
 * left to tell gets one more step.
 */
const delayOfRepetition = async ({ db, events }: TellEventsDeps, { nextDelaySeconds }: Done, update_id: number): Promise<number | null> =>
  nextDelaySeconds ?? (events && (await hasUntold(db, update_id)) ? longestDelaySeconds : null);

/** The walk of a finished update goes on while events are left to tell. */
const delayAfterTelling = ({ nextDelaySeconds, finished_dt }: Done, told: Told, now: Date): number | null => {
  if (told === 'all') return nextDelaySeconds;
  if (told === 'some') return shortestDelaySeconds;
  const isGivenUp = finished_dt !== null && now > addSeconds(finished_dt, longestToldAfterSeconds);
  return nextDelaySeconds ?? (isGivenUp ? null : longestDelaySeconds);
};

/** The service has no timer, so the walk of a finished update also removes old rows, one batch per step, until none is left. */
const delayAfterRemoving = async ({ removeOldRows }: AdvanceUpdateDeps, now: Date): Promise<number | null> =>
  (await removeOldRows?.(now)) ? shortestDelaySeconds : null;

const doStep = async (trx: Trx, { update_id, step }: AdvanceMessage, times: OfferTimes, now: Date): Promise<StepResult> => {
  const update = await lockUpdate(trx, update_id);
  if (!update) return { kind: 'missing' };
  const place = placeOf(step, update);
  if (place === 'passed') return { kind: 'passed' };
  if (place === 'done') {
    // The step was done before, but perhaps not all of its messages were sent.
    const { finished_dt } = update;
    return { kind: 'done', nextDelaySeconds: finished_dt ? null : shortestDelaySeconds, finished_dt, isRepeated: true };
  }
  if (update.finished_dt) {
    await changeUpdate(trx, update_id, { next_step: step + 1 });
    return { kind: 'done', nextDelaySeconds: null, finished_dt: update.finished_dt };
  }
  const startsInSeconds = secondsUntilStart(update, now);
  if (startsInSeconds > 0) {
    const nextDelaySeconds = Math.min(longestScheduleDelaySeconds, Math.max(shortestDelaySeconds, Math.ceil(startsInSeconds)));
    await changeUpdate(trx, update_id, { next_step: step + 1, due_dt: addSeconds(now, nextDelaySeconds) });
    return { kind: 'done', nextDelaySeconds, finished_dt: null };
  }
  const { change, nextDelaySeconds } = await walkOn({ trx, update, step, offerTimes: update.includes_iot ? times : null, now });
  const due_dt = nextDelaySeconds === null ? null : addSeconds(now, nextDelaySeconds);
  await changeUpdate(trx, update_id, { ...change, next_step: step + 1, stepped_dt: now, due_dt });
  return { kind: 'done', nextDelaySeconds, finished_dt: change.finished_dt ?? null };
};

/** One that waits for approval is woken by it. */
const secondsUntilStart = ({ status, firmware_status, start_dt }: LockedUpdate, now: Date): number => {
  if (status === 'WAITING_FOR_APPROVAL') return firmware_status === 'withdrawn' ? 0 : Number.POSITIVE_INFINITY;
  return isRunning(status) && start_dt ? secondsBetween(now, start_dt) : 0;
};

/** A step of an update that is locked and has not finished. */
interface Step {
  trx: Trx;
  update: LockedUpdate;
  step: number;
  /** null: none of its devices polls. */
  offerTimes: OfferTimes | null;
  now: Date;
}

/** What a step changes of its update; `isCanceling`: the step has ended waiting executions, and others are left. */
interface Stepped {
  change: UpdateChange;
  isCanceling?: boolean;
  /** How many devices the zones allowed before the release; null: no window or budget holds any device back. */
  rooms?: readonly ZoneRoom[] | null;
}

/** Does the step, and answers what changes of the update and when the next step is due; null: all executions have ended. */
const walkOn = async (context: Step): Promise<{ change: UpdateChange; nextDelaySeconds: number | null }> => {
  const { trx, update, step, offerTimes, now } = context;
  // An update that is paused or canceled before its start time has not started.
  const started_dt = update.started_dt ?? (isRunning(update.status) ? now : null);
  const outages = await noteMissedSteps(trx, update, now);
  await expireOverdue(trx, update, started_dt, outages, now);
  const lostBefore = addSeconds(now, -lostAfterSeconds);
  await adoptDispatches(trx, update.id, step, { releasedBefore: lostBefore, calledBefore: lostBefore, now });
  const { change, isCanceling, rooms = null } = await goOn(context, outages);
  if (started_dt) change.started_dt = started_dt;
  await scheduleVerifications(trx, update, step, now);

  const remaining = await findRemaining(trx, update.id, now, { offerTimes, rooms });
  const status = change.status ?? update.status;
  if (!remaining.hasUnfinished) {
    await keepFinalFigures(trx, update.id);
    // A paused update without anything left to do is complete as well.
    return { change: { ...change, finished_dt: now, ...(!isEnded(status) && { status: 'COMPLETED' }) }, nextDelaySeconds: null };
  }
  const isResting = rooms !== null && !remaining.isHandedOver && !rooms.some(({ opening }) => opening.isOpen);
  const lastReleaseDt = change.last_release_dt ?? update.last_release_dt ?? update.created_dt;
  const nextDelaySeconds = isCanceling
    ? brakingDelaySeconds
    : delayUntilNextStep({ now, lastReleaseDt, remaining, isReleasing: isRunning(status), isResting });
  return { change, nextDelaySeconds };
};

/** Releases executions of a running update; ends the waiting executions of a stopped one. */
const goOn = async (context: Step, outages: readonly Outage[]): Promise<Stepped> => {
  const { trx, update, now } = context;
  if (isRunning(update.status)) return releaseOrStop(context, outages);
  if (update.status === 'WAITING_FOR_APPROVAL') {
    const change = { status: 'ABORTED', reason: reasons.firmwareWithdrawn } as const;
    return { change, isCanceling: await cancelWaiting(trx, { ...update, ...change }, now) };
  }
  // Executions that the last step or the cancel left over, and those that were on their way to the backend then and were not taken by it.
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
  const rooms = isLimitedByZones(update) ? await listRooms(trx, update, now) : null;
  const released = await release({ trx, update, step, offerTimes, now }, decision, rooms);
  if (released > 0) change.last_release_dt = now;
  if (released > 0 && decision.isCanary) change.canary_started_dt = update.canary_started_dt ?? now;
  return { change, rooms };
};

/**
 * Ends what is overdue. The time in the queue counts from the start of the update, without the time spent paused, and so is the same for all
 * its executions. No deadline runs while devices could not be heard (outage.ts); `paused_seconds` does not contain this time, so that it is
 * not taken off twice.
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

/** Releases to scooters-backend first; what is left of the pace goes to devices that poll. */
const release = async (
  { trx, update, step, offerTimes: times, now }: Step,
  { limit, places, isCanary, newCanaries, offers }: Decision,
  rooms: readonly ZoneRoom[] | null,
): Promise<number> => {
  const canariesOf = (n: number) => (isCanary ? n : null);
  const update_id = update.id;
  const released =
    limit > 0
      ? await releaseExecutions(trx, { update_id, step, limit, places, newCanaries: canariesOf(newCanaries), rooms, chunkSize, now })
      : 0;
  const left = offers.limit - released;
  if (!times || left <= 0) return released;
  const roomsLeft = rooms && released > 0 ? await listRooms(trx, update, now) : rooms;
  const offer = { update_id, step, limit: left, newCanaries: canariesOf(offers.newCanaries), rooms: roomsLeft, times, now };
  return released + (await offerExecutions(trx, offer));
};

const reasonOfEnd = ({ status, firmware_status, cancels_all }: LockedUpdate): string => {
  if (status === 'CANCELED' || cancels_all) return reasons.updateCanceled;
  return firmware_status === 'withdrawn' ? reasons.firmwareWithdrawn : reasons.updateAborted;
};

/** Ends waiting executions of a stopped update, one batch per step, and answers whether others are left. */
const cancelWaiting = async (trx: Trx, update: LockedUpdate, now: Date): Promise<boolean> => {
  const which = update.cancels_all ? 'all' : 'unasked';
  const cancel = { update_id: update.id, which, reason: reasonOfEnd(update), limit: maximumCanceledByStep, now } as const;
  return (await cancelExecutions(trx, cancel)).isMore;
};

/** The change of an update that a rule stops: devices that wait are never asked (ABORT), or not before a resume (PAUSE). */
const stopUpdate = ({ action, reason }: Stop, now: Date): UpdateChange =>
  action === 'PAUSE' ? { status: 'PAUSED', reason, paused_dt: now } : { status: 'ABORTED', reason };

/**
 * If an update has devices to release, its next step comes when the first of them is due; where windows are closed, that is when one
 * opens. If it waits only for its devices, steps become rarer: the next one comes after a tenth of the time since the last release.
 */
export const delayUntilNextStep = ({
  now,
  lastReleaseDt,
  remaining,
  isReleasing,
  isResting,
}: {
  now: Date;
  lastReleaseDt: Date;
  remaining: Pick<Remaining, 'next_attempt_dt'>;
  isReleasing: boolean;
  /** Whether no device is at work, and none may be asked before a window opens: until then no step is needed. */
  isResting: boolean;
}): number => {
  const dueDt = isReleasing ? remaining.next_attempt_dt : null;
  const due = dueDt ? Math.ceil(secondsBetween(now, dueDt)) : Number.POSITIVE_INFINITY;
  if (isResting) return Math.min(longestScheduleDelaySeconds, Math.max(shortestDelaySeconds, due));
  const patience = Math.ceil(secondsBetween(lastReleaseDt, now) / 10);
  return Math.min(longestDelaySeconds, Math.max(shortestDelaySeconds, Math.min(patience, due)));
};
