import { isDeepStrictEqual } from 'node:util';
import type { Actor } from '../../audit/actor.ts';
import { differenceOf, writeAuditLine } from '../../audit/audit-queries.ts';
import type { Clock } from '../../clock.ts';
import type { Db, Trx } from '../../db/database.ts';
import { DomainError } from '../../errors.ts';
import type { Queue } from '../../ports/queue.ts';
import { reasons } from '../execution.ts';
import { getJudgedCounts } from '../figure-queries.ts';
import { reopenGate } from '../gate-queries.ts';
import type { AdvanceMessage } from '../messages.ts';
import { notePause } from '../outage-queries.ts';
import { letOlderUpdatesLook } from '../plan/look-queries.ts';
import { endReplaced, wakeReplaced } from '../plan/replace-update.ts';
import { recallDispatches } from '../reach/dispatch-queries.ts';
import { withdrawOffers } from '../reach/offer-queries.ts';
import { wakeToLook } from '../reach/wake-for-candidates.ts';
import { wakeUpdate } from '../reach/wake-update.ts';
import type { Rollout } from '../rollout.ts';
import { findUpdate } from '../shown-update-queries.ts';
import type { Update } from '../update.ts';
import { changeUpdate, type LockedUpdate, lockUpdate, type UpdateChange } from '../update-queries.ts';
import { isEnded, isRunning, type UpdateStatus } from '../update-status.ts';
import { cancelExecutions, countAtWork, maximumCanceledByCall, type Unfinished } from './cancel-queries.ts';

export interface ControlUpdateDeps {
  db: Db;
  advances: Queue<AdvanceMessage>;
  now: Clock;
}

export interface ControlAnswer {
  /** false: the update was in this state already, and nothing was done. */
  changed: boolean;
  /** Executions that were ended by this call. */
  canceled: number;
  /** Executions that the walk's next steps end, within a minute or two; nobody asks their devices any more. */
  canceling: number;
  update: Update;
}

interface Controlled {
  change?: UpdateChange;
  /** The backend is tried again at once. */
  reopened?: boolean;
  canceled?: number;
  /** Set when executions are left for the next steps to end: how many of the unfinished ones they leave alone. Missing: none is left. */
  spared?: number;
  /** Why nothing was done: the update has ended. Its messages are sent again all the same, while it has not finished. */
  refusal?: DomainError;
}

type Control = (trx: Trx, update: LockedUpdate, now: Date) => Promise<Controlled>;

/**
 * Ends an update: devices that wait are never asked, those at work finish. `force` ends the executions of devices at work as well, whatever
 * these devices do then. The update is canceled at once, whatever its size, so that from then on no device is asked. This call ends as many
 * executions as one transaction can bear; the update's steps end the others. Repeating it does nothing more.
 *
 * @throws `update.not_found`, `update.ended` when it ended otherwise.
 */
export const cancelUpdate = (
  deps: ControlUpdateDeps,
  id: number,
  { force, reason }: { force: boolean; reason: string | null },
  actor: Actor,
) =>
  control(deps, id, { actor, action: 'cancel' }, async (trx, update, now) => {
    if (isEnded(update.status) && update.status !== 'CANCELED' && !force) return { refusal: ended(update) };
    if (update.finished_dt) return {};
    const change: UpdateChange = {
      ...(!isEnded(update.status) && { status: 'CANCELED', reason }),
      ...(force && !update.cancels_all && { cancels_all: true }),
    };
    const canceled = await cancelSome(trx, id, force || update.cancels_all ? 'all' : 'unasked', now);
    return { ...canceled, ...(Object.keys(change).length > 0 && { change }) };
  });

/** Ends as many executions of an update that has just been stopped as a call bears. */
const cancelSome = async (trx: Trx, update_id: number, which: Unfinished, now: Date): Promise<Pick<Controlled, 'canceled' | 'spared'>> => {
  const cancel = { update_id, which, reason: reasons.updateCanceled, limit: maximumCanceledByCall, now };
  const { canceled, isMore } = await cancelExecutions(trx, cancel);
  return { canceled, ...(isMore && { spared: which === 'all' ? 0 : await countAtWork(trx, update_id) }) };
};

/**
 * Lets an update begin that waits for approval. Repeating it, by whomever, does nothing more.
 *
 * @throws `update.not_found`, `approval.second_person` for whoever requested it, `update.ended`, also when it was rejected;
 *   `update.not_waiting_for_approval` when nobody has to approve it; `firmware.not_available` when its firmware is withdrawn by now.
 */
export const approveUpdate = (deps: ControlUpdateDeps, id: number, { remark }: { remark: string }, actor: Actor) =>
  control(deps, id, { actor, action: 'approve' }, async (trx, update, now) => {
    const refusal = findDecisionRefusal(update, actor);
    if (refusal) return { refusal };
    if (update.decision === 'APPROVED') return {};
    if (isEnded(update.status)) return { refusal: ended(update) };
    if (update.firmware_status === 'withdrawn') return { refusal: firmwareWithdrawn(update) };
    await replaceAt(trx, deps.advances, update, actor, now);
    return { change: { status: 'SCHEDULED', ...decisionOf('APPROVED', remark, actor, now) } };
  });

/**
 * Ends an update that waits for approval. Repeating it, by whomever, does nothing more.
 *
 * @throws `update.not_found`, `approval.second_person` for whoever requested it, `update.ended`; `update.not_waiting_for_approval` when
 *   nobody has to approve it, or somebody has.
 */
export const rejectUpdate = (deps: ControlUpdateDeps, id: number, { remark }: { remark: string }, actor: Actor) =>
  control(deps, id, { actor, action: 'reject' }, async (trx, update, now) => {
    const refusal = findDecisionRefusal(update, actor);
    if (refusal) return { refusal };
    if (update.decision === 'REJECTED') return {};
    if (isEnded(update.status)) return { refusal: ended(update) };
    if (update.decision === 'APPROVED') return { refusal: notWaiting(update, 'was approved before') };
    const change: UpdateChange = { status: 'CANCELED', reason: `REJECTED: ${remark}`, ...decisionOf('REJECTED', remark, actor, now) };
    return { change, ...(await cancelSome(trx, id, 'unasked', now)) };
  });

/** Ends the update that an approved one replaces, unless it has ended since. */
const replaceAt = async (trx: Trx, advances: Queue<AdvanceMessage>, { id, replaces_update_id }: LockedUpdate, actor: Actor, now: Date) => {
  const replaced = replaces_update_id === null ? undefined : await lockUpdate(trx, replaces_update_id);
  if (!replaced || isEnded(replaced.status)) return;
  const looking = await endReplaced(trx, replaced, id, actor, now);
  await wakeReplaced(trx, advances, { replaced, looking }, now);
};

const decisionOf = (decision: 'APPROVED' | 'REJECTED', decision_remark: string, { subject }: Actor, decided_dt: Date) => ({
  ...{ decision, decided_by: subject, decided_dt, decision_remark },
});

const findDecisionRefusal = (update: LockedUpdate, { subject }: Actor): DomainError | undefined => {
  if (!update.needs_approval) return notWaiting(update, 'needs no approval');
  if (update.created_by !== subject) return undefined;
  return new DomainError('approval.second_person', `You have requested update ${update.id}: somebody else has to decide about it`);
};

const notWaiting = ({ id, status }: LockedUpdate, why: string): DomainError =>
  new DomainError('update.not_waiting_for_approval', `Update ${id} ${why}`, { answer: { update_status: status } });

const firmwareWithdrawn = ({ firmware_id }: LockedUpdate): DomainError =>
  new DomainError('firmware.not_available', `Firmware ${firmware_id} is withdrawn`, { answer: { firmware_status: 'withdrawn' } });

/**
 * Pauses an update: no more devices are asked until it is resumed. What was handed over already goes on to its end.
 *
 * @throws `update.not_found`, `update.ended`
 */
export const pauseUpdate = (deps: ControlUpdateDeps, id: number, { reason }: { reason: string | null }, actor: Actor) =>
  control(deps, id, { actor, action: 'pause' }, async (_trx, update, now) => {
    if (isEnded(update.status)) return { refusal: ended(update) };
    return isRunning(update.status) ? { change: { status: 'PAUSED', reason, paused_dt: now } } : {};
  });

/**
 * Goes on with a paused update, also if a stop rule has paused it: from now on, rules that pause judge only executions that end after this.
 * The backend is tried again at once, whatever wait it asked for.
 *
 * @throws `update.not_found`, `update.ended`
 */
export const resumeUpdate = (deps: ControlUpdateDeps, id: number, actor: Actor) =>
  control(deps, id, { actor, action: 'resume' }, async (trx, update, now) => {
    if (isEnded(update.status)) return { refusal: ended(update) };
    const reopened = await reopenGate(trx);
    if (update.status !== 'PAUSED') return { reopened };
    const status: UpdateStatus = update.started_dt ? 'IN_PROGRESS' : 'SCHEDULED';
    await notePause(trx, update, now);
    const resumed_counts = { ...(await getJudgedCounts(trx, id)), ALREADY_ON_TARGET: update.already_on_target };
    return { reopened, change: { status, reason: null, paused_dt: null, resumed_counts } };
  });

/**
 * Changes the pace of an update that has not ended. Executions that were released at the old pace and not handed over yet are taken back, so
 * that the new pace holds from the next call to the backend and the next poll of a device.
 *
 * @throws `update.not_found`, `update.ended`
 */
export const changePace = (deps: ControlUpdateDeps, id: number, rollout: { [K in keyof Rollout]?: Rollout[K] | undefined }, actor: Actor) =>
  control(deps, id, { actor, action: 'change_pace' }, async (trx, update, now) => {
    if (isEnded(update.status)) return { refusal: ended(update) };
    const current = rolloutOf(update);
    const wanted = { ...current, ...Object.fromEntries(Object.entries(rollout).filter(([, value]) => value !== undefined)) };
    // Compared as values, not as text: PostgreSQL keeps the keys of a jsonb in an order of its own.
    if (isDeepStrictEqual(wanted, current)) return {};
    await recallDispatches(trx, id);
    if (update.includes_iot) await withdrawOffers(trx, id, null, now);
    return { change: { rollout: wanted } };
  });

/**
 * Does a control under the lock that a step takes, so that neither sees the other half done. Wakes the walk afterwards, also when the control
 * had nothing to do: the walk may be waiting for long, or may have lost its message.
 */
const control = async (
  { db, advances, now }: ControlUpdateDeps,
  id: number,
  { actor, action }: { actor: Actor; action: string },
  work: Control,
): Promise<ControlAnswer> => {
  const { refusal, ...answer } = await db.transaction().execute(async (trx) => {
    const locked = await lockUpdate(trx, id);
    if (!locked) throw new DomainError('update.not_found', `There is no update ${id}`);
    const { change, canceled = 0, reopened = false, spared, refusal } = await work(trx, locked, now());
    if (change) await changeUpdate(trx, id, change);
    const isClosing = locked.continuous && change?.status !== undefined && isEnded(change.status);
    const looking = isClosing ? await letOlderUpdatesLook(trx, locked) : [];
    if (change || canceled > 0 || reopened) {
      const outcome = { ...whatChanges(locked, change), ...(canceled > 0 && { canceled }), ...(reopened && { backend_tried_again: true }) };
      await writeAuditLine(trx, actor, { action, resource: 'update', resource_id: String(id), outcome }, now());
    }
    const update = await findUpdate(trx, id, now());
    if (!update) throw new Error('An update that is locked does not exist');
    await wakeUpdate(trx, advances, locked, now());
    await wakeToLook(trx, advances, looking, now());
    const canceling = spared === undefined ? 0 : update.counts.QUEUED + update.counts.IN_PROGRESS - spared;
    return { changed: change !== undefined || canceled > 0, canceled, canceling, update, refusal };
  });
  if (refusal) throw refusal;
  return answer;
};

/** Of what callers decide about. */
const whatChanges = (locked: LockedUpdate, { status, reason, cancels_all, rollout, decision, decision_remark }: UpdateChange = {}) => {
  const before = { status: locked.status, reason: locked.reason, cancels_all: locked.cancels_all, rollout: rolloutOf(locked) };
  const changed = Object.entries({ status, reason, cancels_all, rollout }).filter(([, value]) => value !== undefined);
  const difference = differenceOf(before, { ...before, ...Object.fromEntries(changed) });
  return { ...difference, ...(decision && { decision, remark: decision_remark }) };
};

const rolloutOf = ({ maximum_per_minute, maximum_in_progress, exponential, maximum_unavailable_percentage }: LockedUpdate): Rollout => ({
  maximum_unavailable_percentage,
  ...{ maximum_per_minute, maximum_in_progress, exponential },
});

const ended = ({ id, status }: LockedUpdate): DomainError =>
  new DomainError('update.ended', `Update ${id} has ended: it is ${status}`, { answer: { update_status: status } });
