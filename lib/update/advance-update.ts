import { addSeconds, type Clock, secondsBetween } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import type { Log } from '../log.ts';
import type { Queue } from '../ports/queue.ts';
import { placeOf, waitForCommit } from '../walk.ts';
import { adoptLostDispatches, listUnansweredDispatches, listVerifications, scheduleVerifications } from './dispatch-queries.ts';
import { leaseSeconds } from './dispatch-update.ts';
import { reasons } from './execution.ts';
import { cancelExecutions, expireExecutions, findRemaining, type Remaining, releaseExecutions } from './execution-queries.ts';
import type { AdvanceMessage, DispatchMessage, VerifyMessage } from './messages.ts';
import { allowance, freePlaces, maximumCommandsOf, windowSecondsOf } from './pace.ts';
import { findStop, judgeCanary, type Stop } from './stop-rules.ts';
import { isEnded, isRunning } from './update.ts';
import {
  changeUpdate,
  getProgress,
  type LockedUpdate,
  lockUpdate,
  markStepSent,
  type Progress,
  type UpdateChange,
} from './update-queries.ts';

export interface AdvanceUpdateDeps {
  db: Db;
  advances: Queue<AdvanceMessage>;
  dispatches: Queue<DispatchMessage>;
  verifications: Queue<VerifyMessage>;
  log: Log;
  now: Clock;
}

/** What the backend takes in one call (design.md section 7). */
const chunkSize = 100;
/** Bounds a step's transaction and its messages; with a step a second this is above every pace a fleet can stand. */
const maximumPerStep = 10_000;
const shortestDelaySeconds = 1;
const longestDelaySeconds = 30;
/** SQS's own limit. */
const longestScheduleDelaySeconds = 900;

type StepResult = { kind: 'missing' | 'ended' | 'passed' } | { kind: 'done'; nextDelaySeconds: number | null };

/**
 * Does one step of an update: ends what is overdue, judges the stop rules and the canary, releases what the pace allows, hands it to the
 * dispatches queue, asks for look-ups that are due, and sends the message of the next step, until the last execution has ended. Repeating
 * a step, after a crash anywhere in it, releases nothing twice and sends what may not have been sent.
 *
 * @throws `queue.unavailable`, `database.unavailable`: the message has to come again.
 */
export async function advanceUpdate(deps: AdvanceUpdateDeps, message: AdvanceMessage): Promise<void> {
  const { db, dispatches, verifications } = deps;
  const { update_id, step } = message;
  const now = deps.now();
  const result = await db.transaction().execute((trx) => doStep(trx, message, now));

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
  if (result.nextDelaySeconds === null) return;
  await deps.advances.send([{ update_id, step: step + 1, created_dt: message.created_dt }], { delaySeconds: result.nextDelaySeconds });
  await markStepSent(db, update_id, step + 1);
}

const doStep = async (trx: Trx, { update_id, step }: AdvanceMessage, now: Date): Promise<StepResult> => {
  const update = await lockUpdate(trx, update_id);
  if (!update) return { kind: 'missing' };
  const place = placeOf(step, update);
  if (place === 'passed') return { kind: 'passed' };
  if (place === 'done') {
    // Perhaps not all of its messages were sent.
    return { kind: 'done', nextDelaySeconds: update.finished_dt ? null : shortestDelaySeconds };
  }
  if (update.finished_dt) return { kind: 'ended' };
  if (isRunning(update.status) && update.start_dt && update.start_dt > now) {
    await changeUpdate(trx, update_id, { next_step: step + 1 });
    const seconds = Math.ceil(secondsBetween(now, update.start_dt));
    return { kind: 'done', nextDelaySeconds: Math.min(longestScheduleDelaySeconds, Math.max(shortestDelaySeconds, seconds)) };
  }

  // One that is paused or canceled before its time has not started.
  const started_dt = update.started_dt ?? (isRunning(update.status) ? now : null);
  await expireOverdue(trx, update, started_dt, now);
  await adoptLostDispatches(trx, update_id, step, now);
  const change: UpdateChange = { next_step: step + 1, ...(started_dt && { started_dt }) };
  let released = 0;
  if (isRunning(update.status)) {
    change.status = 'IN_PROGRESS';
    const progress = await getProgress(trx, update_id, { now, windowSeconds: windowSecondsOf(update), leaseSeconds });
    const decision = decide(update, progress, now);
    if (decision.stop) Object.assign(change, await stopUpdate(trx, update_id, decision.stop, now));
    else released = await release(trx, update, step, decision, now);
    if (decision.hasPassed) change.canary_passed_dt = now;
    if (decision.isCanary && released > 0) change.canary_started_dt = update.canary_started_dt ?? now;
    if (released > 0) change.last_release_dt = now;
  } else if (isEnded(update.status)) {
    // Those that were being handed to the backend when the update ended, and that it did not take.
    await cancelExecutions(trx, update_id, 'waiting', reasonOfEnd(update), now);
  }
  await scheduleVerifications(trx, update, step, now);

  const remaining = await findRemaining(trx, update_id, now);
  if (!remaining.hasUnfinished) {
    change.finished_dt = now;
    // A paused update without anything left to do is complete as well.
    const status = change.status ?? update.status;
    if (!isEnded(status)) change.status = 'COMPLETED';
  }
  await changeUpdate(trx, update_id, change);
  const lastReleaseDt = change.last_release_dt ?? update.last_release_dt ?? update.created_dt;
  const isReleasing = isRunning(change.status ?? update.status);
  const nextDelaySeconds = remaining.hasUnfinished ? delayUntilNextStep({ now, lastReleaseDt, remaining, isReleasing }) : null;
  return { kind: 'done', nextDelaySeconds };
};

/** Queued time counts from the start, without the time spent paused; it is the same for all executions of an update. */
const expireOverdue = async (trx: Trx, update: LockedUpdate, started_dt: Date | null, now: Date): Promise<void> => {
  const { id, status, queued_minutes, in_progress_minutes, number_of_retries, retry_failure_types, paused_seconds } = update;
  await expireExecutions(
    trx,
    id,
    {
      areQueuedLate: started_dt !== null && status !== 'PAUSED' && now >= addSeconds(started_dt, queued_minutes * 60 + paused_seconds),
      sentBefore: addSeconds(now, -in_progress_minutes * 60),
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
  >,
  progress: Progress,
  now: Date,
): Decision => {
  const nothing = { limit: 0, places: null, isCanary: false, newCanaries: 0, hasPassed: false };
  if (update.firmware_status !== 'available') return { ...nothing, stop: { action: 'ABORT', reason: reasons.firmwareWithdrawn } };
  const alreadyOnTarget = update.planned.ALREADY_ON_TARGET ?? 0;
  const stop = findStop(update.abort, { counts: progress.counts, alreadyOnTarget, resumedCounts: update.resumed_counts });
  if (stop) return { ...nothing, stop };

  const { canary } = update;
  const { chosen, waiting, succeeded, failed } = progress.canary;
  let isCanary = canary !== null && update.canary_passed_dt === null;
  let hasPassed = false;
  if (canary && isCanary) {
    const startedDt = update.canary_started_dt;
    const hasWaited = startedDt !== null && now >= addSeconds(startedDt, canary.minimum_wait_minutes * 60);
    const verdict = judgeCanary({ ...canary, succeeded, failed, hasWaited });
    if (verdict === 'failed') {
      return { ...nothing, stop: { action: 'ABORT', reason: `CANARY_FAILED: ${failed} of ${canary.size} failed` } };
    }
    hasPassed = verdict === 'passed';
    isCanary = !hasPassed;
  }
  const newCanaries = canary && isCanary ? Math.max(0, canary.size - chosen) : 0;
  const places = freePlaces(update.maximum_in_progress, progress.inProgress);
  const limit = allowance({
    maximumCommands: maximumCommandsOf(update, progress.counts.SUCCEEDED - alreadyOnTarget),
    gate: progress.gate,
    commandsInWindow: progress.commandsInWindow,
    isUnderWay: progress.isUnderWay,
    places,
    unanswered: progress.unanswered,
    canaryLeft: isCanary ? newCanaries + waiting : null,
    now,
  });
  return { limit: Math.min(limit, maximumPerStep), places, isCanary, newCanaries, hasPassed };
};

const release = (
  trx: Trx,
  { id }: LockedUpdate,
  step: number,
  { limit, places, isCanary, newCanaries }: Decision,
  now: Date,
): Promise<number> | number =>
  limit > 0
    ? releaseExecutions(trx, { update_id: id, step, limit, places, newCanaries: isCanary ? newCanaries : null, chunkSize, now })
    : 0;

const reasonOfEnd = ({ status, firmware_status }: LockedUpdate): string => {
  if (status === 'CANCELED') return reasons.updateCanceled;
  return firmware_status === 'available' ? reasons.updateAborted : reasons.firmwareWithdrawn;
};

/** A rule has stopped the update: those that wait are never asked (ABORT), or not for now (PAUSE). */
const stopUpdate = async (trx: Trx, id: number, { action, reason }: Stop, now: Date): Promise<UpdateChange> => {
  if (action === 'PAUSE') return { status: 'PAUSED', reason, paused_dt: now };
  await cancelExecutions(trx, id, 'waiting', reason === reasons.firmwareWithdrawn ? reason : reasons.updateAborted, now);
  return { status: 'ABORTED', reason };
};

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
