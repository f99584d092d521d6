import { addSeconds, secondsBetween } from '../../clock.ts';
import type { Trx } from '../../db/database.ts';
import { lostAfterSeconds, stateOfStep } from '../../walk.ts';
import { reasons } from '../execution.ts';
import { keepFinalFigures } from '../figure-queries.ts';
import type { AdvanceMessage } from '../messages.ts';
import type { OfferTimes } from '../offer-times.ts';
import type { Outage } from '../outage.ts';
import { listOutages, noteMissedSteps } from '../outage-queries.ts';
import { letOlderUpdatesLook } from '../plan/look-queries.ts';
import { freeOthers, takeIn } from '../plan/take-in.ts';
import { forgetCandidates, reviewCandidates } from '../plan/take-in-queries.ts';
import { nothingOvertaken, takeOver } from '../plan/take-over.ts';
import { adoptDispatches } from '../reach/dispatch-queries.ts';
import { leaseSeconds } from '../reach/lease.ts';
import { scheduleVerifications } from '../reach/look-up-queries.ts';
import { getOfferProgress, offerExecutions, withdrawOffers } from '../reach/offer-queries.ts';
import { changeUpdate, type LockedUpdate, lockUpdate, type UpdateChange } from '../update-queries.ts';
import { isEnded, isRunning } from '../update-status.ts';
import type { ZoneRoom } from '../zone-room.ts';
import { type Decision, decide, maximumPerStep } from './decide.ts';
import { brakingDelaySeconds, delayUntilNextStep, longestScheduleDelaySeconds, rest, shortestDelaySeconds } from './delay.ts';
import { cancelWaiting, expireOverdue } from './end-executions.ts';
import { windowSecondsOf } from './pace.ts';
import { countLastEnds, getProgress } from './progress-queries.ts';
import { findRemaining, releaseExecutions } from './release-queries.ts';
import { isLimitedByZones, listRooms } from './room-queries.ts';
import type { Stop } from './stop-rules.ts';

/** What the backend takes in one call (scooters-backend.openapi.yaml). */
const chunkSize = 100;

export type StepResult = { kind: 'missing' | 'passed' } | StepDone;

export interface StepDone {
  kind: 'done';
  /** null: the last execution has ended, or the update rests. */
  nextDelaySeconds: number | null;
  finished_dt: Date | null;
  /** Whether other updates may be able to go on now that rest. */
  wakesOthers: boolean;
  /** Whether older updates may be able to end now that sleep. */
  wakesSleepers?: boolean;
  /** The step had been done before. */
  isRepeated?: true;
}

/** What a step is told from outside. */
type Given = Pick<Step, 'times' | 'mostTakenOver' | 'now'>;

export const doStep = async (trx: Trx, { update_id, step }: AdvanceMessage, given: Given): Promise<StepResult> => {
  const locked = await lockUpdate(trx, update_id);
  if (!locked) return { kind: 'missing' };
  const state = stateOfStep(step, locked);
  if (state === 'passed') return { kind: 'passed' };
  if (state === 'done') {
    // The step was done before, but perhaps not all of its messages were sent.
    const { finished_dt, due_dt } = locked;
    return {
      kind: 'done',
      nextDelaySeconds: due_dt === null ? null : shortestDelaySeconds,
      finished_dt,
      wakesOthers: true,
      isRepeated: true,
    };
  }
  if (locked.finished_dt) {
    await changeUpdate(trx, update_id, { next_step: step + 1 });
    return { kind: 'done', nextDelaySeconds: null, finished_dt: locked.finished_dt, wakesOthers: false };
  }
  return stepOn({ ...given, trx, update: locked, step });
};

/** A step that is due, of an update that has not finished. */
const stepOn = async (context: Step): Promise<StepDone> => {
  const { trx, update: locked, mostTakenOver, now } = context;
  const next_step = context.step + 1;
  const {
    update,
    mayEndOthers,
    nextDelaySeconds: untilNextDevices,
  } = locked.has_claims ? await takeOver(trx, locked, mostTakenOver, now) : nothingOvertaken(locked);
  const { id, includes_iot, already_on_target } = update;
  const waitSeconds = untilNextDevices ?? secondsUntilStart(update, now);
  if (waitSeconds !== null) {
    await changeUpdate(trx, id, { next_step, due_dt: addSeconds(now, waitSeconds), includes_iot, already_on_target });
    return { kind: 'done', nextDelaySeconds: waitSeconds, finished_dt: null, wakesOthers: false, wakesSleepers: mayEndOthers };
  }
  const { change, nextDelaySeconds } = await walkOn({ ...context, update });
  const due_dt = nextDelaySeconds === null ? null : addSeconds(now, nextDelaySeconds);
  await changeUpdate(trx, id, { includes_iot, already_on_target, ...change, next_step, stepped_dt: now, due_dt });
  const wakesOthers = await letOthersGoOn(trx, update, change);
  return { kind: 'done', nextDelaySeconds, finished_dt: change.finished_dt ?? null, wakesOthers, wakesSleepers: mayEndOthers };
};

/** Other updates may take devices now that this one has had. Answers whether there are any. */
const letOthersGoOn = async (trx: Trx, update: LockedUpdate, { status, finished_dt }: UpdateChange): Promise<boolean> => {
  const isClosing = update.continuous && status !== undefined && isEnded(status) && !isEnded(update.status);
  const hasFreed = await freeOthers(trx, update, finished_dt !== undefined);
  const mayLook = isClosing && (await letOlderUpdatesLook(trx, update)).length > 0;
  return hasFreed || mayLook;
};

/** How long an update that has not begun sleeps; null: it has. Whoever approves one that waits for approval sends its message. */
const secondsUntilStart = ({ status, firmware_status, start_dt }: LockedUpdate, now: Date): number | null => {
  if (status === 'WAITING_FOR_APPROVAL') return firmware_status === 'withdrawn' ? null : longestScheduleDelaySeconds;
  const seconds = isRunning(status) && start_dt ? secondsBetween(now, start_dt) : 0;
  return seconds <= 0 ? null : Math.min(longestScheduleDelaySeconds, Math.max(shortestDelaySeconds, Math.ceil(seconds)));
};

/** A step of an update that is locked and has not finished. */
interface Step {
  trx: Trx;
  update: LockedUpdate;
  step: number;
  /** For devices that poll. */
  times: OfferTimes;
  /** At most so many devices of older updates. */
  mostTakenOver: number;
  now: Date;
}

/** What a step changes of its update; `isCanceling`: the step has ended waiting executions, and others are left. */
interface Stepped {
  change: UpdateChange;
  isCanceling?: boolean;
  /** Whether there are candidates that the next step can look at. */
  isTakingIn?: boolean;
  /** How many devices the zones allowed before the release; null: no window or budget holds any device back. */
  rooms?: readonly ZoneRoom[] | null;
}

/** Does the step, and answers what changes of the update and when the next step is due; null: none is. */
const walkOn = async (context: Step): Promise<{ change: UpdateChange; nextDelaySeconds: number | null }> => {
  const { trx, update, step, now } = context;
  // An update that is paused or canceled before its start time has not started.
  const started_dt = update.started_dt ?? (isRunning(update.status) ? now : null);
  await noteMissedSteps(trx, update, now);
  const notCounted = await listOutages(trx, update.id, now);
  await expireOverdue(trx, update, started_dt, notCounted, now);
  const lostBefore = addSeconds(now, -lostAfterSeconds);
  await adoptDispatches(trx, update.id, step, { releasedBefore: lostBefore, calledBefore: lostBefore, now });
  const stepped = await goOn(context, notCounted.outages);
  if (started_dt) stepped.change.started_dt = started_dt;
  await scheduleVerifications(trx, update, step, now);
  return finishOrGoOn(context, stepped);
};

const finishOrGoOn = async (
  { trx, update, times, now }: Step,
  { change, isCanceling, isTakingIn, rooms = null }: Stepped,
): Promise<{ change: UpdateChange; nextDelaySeconds: number | null }> => {
  const includesIot = change.includes_iot ?? update.includes_iot;
  const { is_superseded: isSuperseded, has_claims } = update;
  const remaining = await findRemaining(trx, update.id, now, { offerTimes: includesIot ? times : null, rooms, isSuperseded });
  const status = change.status ?? update.status;
  const isOpen = has_claims || (!isEnded(status) && (update.continuous || update.has_candidates));
  if (!remaining.hasUnfinished && !isOpen) {
    await keepFinalFigures(trx, update.id);
    if (update.has_candidates || update.continuous) await forgetCandidates(trx, update.id);
    // A paused update without anything left to do is complete as well.
    return { change: { ...change, finished_dt: now, ...(!isEnded(status) && { status: 'COMPLETED' }) }, nextDelaySeconds: null };
  }
  if (isCanceling) return { change, nextDelaySeconds: brakingDelaySeconds };
  const isFreed = isOpen && !remaining.hasUnfinished && update.has_candidates && (await reviewCandidates(trx, update));
  if (isTakingIn || isFreed) return { change: { ...change, ...awake(update) }, nextDelaySeconds: shortestDelaySeconds };
  const { hasUnfinished, isHandedOver } = remaining;
  const isClosed = rooms !== null && hasUnfinished && !isHandedOver && !rooms.some(({ opening }) => opening.isOpen);
  const lastReleaseDt = change.last_release_dt ?? update.last_release_dt ?? update.created_dt;
  const isResting = isClosed || !hasUnfinished;
  const nextDelaySeconds = delayUntilNextStep({ now, lastReleaseDt, remaining, isReleasing: isRunning(status), isAsleep: isClosed });
  if (!update.continuous || isEnded(status)) return { change, nextDelaySeconds };
  // Nobody wakes it when a device that it has claimed has ended in the older update.
  if (!isResting || has_claims) return { change: { ...change, ...awake(update) }, nextDelaySeconds };
  const { rests_dt, delaySeconds } = rest(update, isClosed ? nextDelaySeconds : null, now);
  return { change: { ...change, rests_dt }, nextDelaySeconds: delaySeconds };
};

const awake = ({ continuous }: LockedUpdate): UpdateChange => (continuous ? { rests_dt: null } : {});

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

const releaseOrStop = async (context: Step, outages: readonly Outage[]): Promise<Stepped> => {
  const { trx, update, step, now } = context;
  const windowSeconds = windowSecondsOf(update);
  const { isMore: isTakingIn, includesIot, ...looked } = await takeIn(trx, update, now);
  const offerTimes = update.includes_iot || includesIot ? context.times : null;
  if (offerTimes) await withdrawOffers(trx, update.id, addSeconds(now, -offerTimes.standSeconds), now);
  const progress = await getProgress(trx, update.id, { now, windowSeconds, leaseSeconds });
  if (update.continuous) progress.lastEnds = await countLastEnds(trx, update, progress.judged);
  if (offerTimes) {
    progress.offers = await getOfferProgress(trx, update.id, { now, windowSeconds, times: offerTimes, atMost: maximumPerStep });
  }
  const decision = decide(update, progress, now, outages);
  const change: UpdateChange = {
    status: 'IN_PROGRESS',
    ...(decision.hasPassed && { canary_passed_dt: now }),
    ...(includesIot && { includes_iot: true }),
    ...(update.continuous && looked),
  };
  if (decision.stop) {
    const isCanceling = decision.stop.action === 'ABORT' && (await cancelWaiting(trx, { ...update, status: 'ABORTED' }, now));
    return { change: { ...change, ...stopUpdate(decision.stop, now) }, isCanceling };
  }
  const rooms = isLimitedByZones(update) ? await listRooms(trx, update, now) : null;
  const released = await release({ trx, update, step, now }, offerTimes, decision, rooms);
  if (released > 0) change.last_release_dt = now;
  if (released > 0 && decision.isCanary) change.canary_started_dt = update.canary_started_dt ?? now;
  return { change, isTakingIn, rooms };
};

/** Releases to scooters-backend first; what is left of the pace goes to devices that poll. */
const release = async (
  { trx, update, step, now }: Omit<Step, 'times' | 'mostTakenOver'>,
  times: OfferTimes | null,
  { limit, places, isCanary, newCanaries, offers }: Decision,
  rooms: readonly ZoneRoom[] | null,
): Promise<number> => {
  const canariesOf = (n: number) => (isCanary ? n : null);
  const { id: update_id, revisions, is_superseded: isSuperseded } = update;
  const released =
    limit > 0
      ? await releaseExecutions(trx, {
          update_id,
          step,
          limit,
          places,
          newCanaries: canariesOf(newCanaries),
          rooms,
          revisions,
          isSuperseded,
          chunkSize,
          now,
        })
      : 0;
  const left = offers.limit - released;
  if (!times || left <= 0) return released;
  const roomsLeft = rooms && released > 0 ? await listRooms(trx, update, now) : rooms;
  const newCanaryOffers = canariesOf(offers.newCanaries);
  const offer = { update_id, step, limit: left, newCanaries: newCanaryOffers, rooms: roomsLeft, revisions, isSuperseded, times, now };
  return released + (await offerExecutions(trx, offer));
};

/** The change of an update that a rule stops: devices that wait are never asked (ABORT), or not before a resume (PAUSE). */
const stopUpdate = ({ action, reason }: Stop, now: Date): UpdateChange =>
  action === 'PAUSE' ? { status: 'PAUSED', reason, paused_dt: now } : { status: 'ABORTED', reason };
