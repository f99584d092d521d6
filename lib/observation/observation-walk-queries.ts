import { addSeconds } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import type { ObservationFilter, ObservationStatus } from './observation.ts';

export interface ClaimedObservation {
  id: number;
  filter: ObservationFilter | null;
  add_unknown: boolean;
  maximum_per_minute: number;
  cursor: string | null;
  devices_asked: number;
  failures: number;
  request_id: string;
}

/**
 * Takes a step for one call to the backend. Undefined: it is not due, was done before, or belongs to a call that began less than
 * `leaseSeconds` ago; `findWalk` tells which.
 */
export const claimStep = (
  db: Db,
  id: number,
  step: number,
  { now, leaseSeconds }: { now: Date; leaseSeconds: number },
): Promise<ClaimedObservation | undefined> =>
  db
    .updateTable('observations')
    .set((eb) => ({ claimed_dt: now, started_dt: eb.fn.coalesce('started_dt', eb.val(now)) }))
    .where('id', '=', id)
    .where('status', '=', 'IN_PROGRESS')
    .where('next_step', '<=', step)
    .where('due_dt', '<=', now)
    .where((eb) => eb.or([eb('claimed_dt', 'is', null), eb('claimed_dt', '<', addSeconds(now, -leaseSeconds))]))
    .returning(['id', 'filter', 'add_unknown', 'maximum_per_minute', 'cursor', 'devices_asked', 'failures', 'request_id'])
    .$narrowType<{ filter: ObservationFilter | null }>()
    .executeTakeFirst();

const selectWalk = (db: Db) =>
  db
    .selectFrom('observations')
    .select(['status', 'next_step', 'sent_step', 'due_dt', 'created_dt'])
    .$narrowType<{ status: ObservationStatus }>();

export const findWalk = (db: Db, id: number) => selectWalk(db).where('id', '=', id).executeTakeFirst();

/** Locks an observation. If two calls for one step were answered, the second waits here for the first. */
export const lockWalk = (trx: Trx, id: number) => selectWalk(trx).where('id', '=', id).forUpdate().executeTakeFirst();

/** What a step adds to the counts of an observation. */
export type StepCounts = Record<
  | `devices_${'asked' | 'answered' | 'unknown' | 'refused' | 'added' | 'not_registered'}`
  | `reports_${'stored' | 'unchanged' | 'outdated' | 'refused'}`,
  number
>;

export interface StepOutcome {
  nextStep: number;
  /** Where the walk goes on; null: it has ended. */
  next: { cursor: string; due_dt: Date } | null;
  counts: StepCounts;
  error: string | null;
  now: Date;
}

/** Notes that a step is done. Only while the row is locked by {@link lockWalk}. */
export const finishStep = async (trx: Trx, id: number, { nextStep, next, counts, error, now }: StepOutcome): Promise<void> => {
  await trx
    .updateTable('observations')
    .set((eb) => ({
      ...Object.fromEntries(Object.entries(counts).map(([name, n]) => [name, eb(name as keyof StepCounts, '+', n)])),
      next_step: nextStep,
      claimed_dt: null,
      failures: 0,
      due_dt: next?.due_dt ?? null,
      ...(next ? { cursor: next.cursor } : { status: 'COMPLETED', finished_dt: now }),
      ...(!next && { devices_total: eb.fn.coalesce('devices_total', eb('devices_asked', '+', counts.devices_asked)) }),
      ...(error !== null && { last_error: error, last_error_dt: now }),
    }))
    .where('id', '=', id)
    .execute();
};

export interface StepFailure {
  nextStep: number;
  error: string;
  /** When the backend is asked again; null: never, the observation has failed. */
  due_dt: Date | null;
  now: Date;
}

/** Notes that a step learned nothing; the next one asks for the same devices. Does nothing if another call for this step was answered. */
export const failStep = async (db: Db, id: number, { nextStep, error, due_dt, now }: StepFailure): Promise<void> => {
  await db
    .updateTable('observations')
    .set((eb) => ({
      next_step: nextStep,
      claimed_dt: null,
      failures: eb('failures', '+', 1),
      last_error: error,
      last_error_dt: now,
      due_dt,
      ...(due_dt === null && { status: 'FAILED', finished_dt: now }),
    }))
    .where('id', '=', id)
    .where('status', '=', 'IN_PROGRESS')
    .where('next_step', '<', nextStep)
    .execute();
};

/** Ends an observation that is locked by {@link lockWalk}. */
export const cancelLocked = async (trx: Trx, id: number, now: Date): Promise<void> => {
  await trx
    .updateTable('observations')
    .set({ status: 'CANCELED', finished_dt: now, due_dt: null, claimed_dt: null })
    .where('id', '=', id)
    .execute();
};

/** Notes that the message of a step is sent, so that a repetition of the step before does not send another. */
export const markStepSent = async (db: Db, id: number, step: number): Promise<void> => {
  await db.updateTable('observations').set({ sent_step: step }).where('id', '=', id).where('sent_step', '<', step).execute();
};
