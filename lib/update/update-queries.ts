import { sql } from 'kysely';
import * as z from 'zod';
import type { Db, Trx } from '../db/database.ts';
import { decodeCursor, type Page, toPage } from '../http/page.ts';
import type { ExecutionStatus } from './execution.ts';
import { type Eligibility, noCounts, progressOf, type Update, type UpdateStatus } from './update.ts';

export interface NewUpdate {
  firmware_id: number;
  maximum_per_minute: number;
  maximum_in_progress: number | null;
  allow_downgrade: boolean;
  comment: string;
  idempotency_key: string | null;
  request_hash: string;
  request_id: string;
  created_by: string;
  created_dt: Date;
}

/** Undefined when the caller has used this idempotency key before: waits for a request under way with the same key. */
export const insertUpdate = (trx: Trx, update: NewUpdate) =>
  trx
    .insertInto('updates')
    .values({ ...update, status: 'SCHEDULED' })
    .onConflict((oc) => oc.constraint('updates_created_by_idempotency_key_key').doNothing())
    .returning('id')
    .executeTakeFirst();

export const findIdempotentUpdate = (db: Db, created_by: string, idempotency_key: string) =>
  db
    .selectFrom('updates')
    .select(['id', 'request_hash'])
    .where('created_by', '=', created_by)
    .where('idempotency_key', '=', idempotency_key)
    .executeTakeFirst();

export type Planned = Partial<Record<Eligibility, number>>;

export const setPlanned = async (trx: Trx, id: number, planned: Planned): Promise<void> => {
  await trx
    .updateTable('updates')
    .set({ planned: JSON.stringify(planned) })
    .where('id', '=', id)
    .execute();
};

interface UpdateRow extends Omit<Update, 'counts' | 'not_eligible' | 'progress' | 'rollout'> {
  maximum_per_minute: number;
  maximum_in_progress: number | null;
  planned: Planned;
}

const selectUpdates = (db: Db) =>
  db
    .selectFrom('updates as u')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .select([
      'u.id',
      'u.firmware_id',
      'f.hardware_type',
      'f.version as firmware_version',
      'u.status',
      'u.planned',
      'u.maximum_per_minute',
      'u.maximum_in_progress',
      'u.allow_downgrade',
      'u.comment',
      'u.created_by',
      'u.request_id',
      'u.created_dt',
      'u.started_dt',
      'u.finished_dt',
    ])
    .$narrowType<{ status: UpdateStatus; planned: Planned }>();

/** With its counts now, in the same statement. */
const withCounts = (db: Db) =>
  selectUpdates(db).select(
    sql<Partial<Record<ExecutionStatus, number>>>`(
      SELECT coalesce(jsonb_object_agg(c.status, c.n), '{}')
      FROM (SELECT e.status, count(*) AS n FROM update_executions e WHERE e.update_id = u.id GROUP BY e.status) c
    )`.as('counts'),
  );

const toUpdate = ({ planned, maximum_per_minute, maximum_in_progress, ...row }: UpdateRow, counted: Partial<Update['counts']>): Update => {
  const { ELIGIBLE: _eligible, ALREADY_ON_TARGET: _onTarget, ...not_eligible } = planned;
  const counts = { ...noCounts(), ...counted };
  return { ...row, counts, not_eligible, progress: progressOf(counts), rollout: { maximum_per_minute, maximum_in_progress } };
};

export const findUpdate = async (db: Db, id: number): Promise<Update | undefined> => {
  const row = await withCounts(db).where('u.id', '=', id).executeTakeFirst();
  if (!row) return undefined;
  const { counts, ...update } = row;
  return toUpdate(update, counts);
};

/** The update as it was when it was requested: the same however often it is asked, whatever has happened since. */
export const getRequestedUpdate = async (db: Db, id: number): Promise<Update> => {
  const row = await selectUpdates(db).where('u.id', '=', id).executeTakeFirstOrThrow();
  const { ELIGIBLE = 0, ALREADY_ON_TARGET = 0 } = row.planned;
  return toUpdate({ ...row, status: 'SCHEDULED', started_dt: null, finished_dt: null }, { QUEUED: ELIGIBLE, SUCCEEDED: ALREADY_ON_TARGET });
};

const Cursor = z.tuple([z.int()]);

export interface UpdateFilter {
  status?: UpdateStatus | undefined;
  limit: number;
  cursor?: string | undefined;
}

/** The latest request first. */
export const listUpdates = async (db: Db, { status, limit, cursor }: UpdateFilter): Promise<Page<Update>> => {
  const after = decodeCursor(Cursor, cursor);
  let query = withCounts(db);
  if (status) query = query.where('u.status', '=', status);
  if (after) query = query.where('u.id', '<', after[0]);
  const rows = await query
    .orderBy('u.id', 'desc')
    .limit(limit + 1)
    .execute();
  const { items, next_cursor } = toPage(rows, limit, (row) => [row.id]);
  return { items: items.map(({ counts, ...row }) => toUpdate(row, counts)), next_cursor };
};

/** The row is the lock of an update's walk: two messages of one update wait for each other here. */
export const lockUpdate = (trx: Trx, id: number) =>
  trx
    .selectFrom('updates')
    .select(['id', 'status', 'next_step', 'sent_step', 'maximum_per_minute', 'maximum_in_progress', 'created_dt', 'last_release_dt'])
    .where('id', '=', id)
    .$narrowType<{ status: UpdateStatus }>()
    .forUpdate()
    .executeTakeFirst();

export interface StepOutcome {
  nextStep: number;
  status: Extract<UpdateStatus, 'IN_PROGRESS' | 'COMPLETED'>;
  now: Date;
  hasReleased: boolean;
}

/** Notes that a step is done. Only while the row is locked by {@link lockUpdate}. */
export const finishStep = async (trx: Trx, id: number, { nextStep, status, now, hasReleased }: StepOutcome): Promise<void> => {
  await trx
    .updateTable('updates')
    .set((eb) => ({
      next_step: nextStep,
      status,
      started_dt: eb.fn.coalesce('started_dt', eb.val(now)),
      ...(hasReleased && { last_release_dt: now }),
      ...(status === 'COMPLETED' && { finished_dt: now }),
    }))
    .where('id', '=', id)
    .where('status', 'in', ['SCHEDULED', 'IN_PROGRESS'])
    .execute();
};

/** Notes that the message of a step is sent, so that a repetition of the step before does not send another. */
export const markStepSent = async (db: Db, id: number, step: number): Promise<void> => {
  await db.updateTable('updates').set({ sent_step: step }).where('id', '=', id).where('sent_step', '<', step).execute();
};
