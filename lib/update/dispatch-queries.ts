import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { reasons } from './execution.ts';

/** The chunks of a step that the backend has not answered: what a repetition of the step has to send again. */
export const listUnansweredDispatches = async (db: Db, update_id: number, step: number): Promise<number[]> => {
  const rows = await db
    .selectFrom('update_dispatches')
    .select('id')
    .where('update_id', '=', update_id)
    .where('step', '=', step)
    .where('answered_dt', 'is', null)
    .orderBy('id')
    .execute();
  return rows.map(({ id }) => id);
};

export interface ClaimedCommand {
  execution_id: number;
  attempt: number;
  kind: string;
  external_id: string;
  hardware_type: string;
  version: string;
  file_link: string;
  sha256: string;
  size_bytes: number;
  request_id: string;
}

/**
 * Takes a chunk for one call to the backend and answers the commands that are still wanted. `undefined`: it was answered before, or
 * belongs to a call that began less than `leaseSeconds` ago; `findDispatch` tells which.
 *
 * The time of sending is written before the call, so that a device that reports faster than the backend answers has one.
 */
export const claimDispatch = async (db: Db, id: number, now: Date, leaseSeconds: number): Promise<ClaimedCommand[] | undefined> => {
  const { rows } = await sql<{ [K in keyof ClaimedCommand]: ClaimedCommand[K] | null }>`
    WITH claimed AS (
      UPDATE update_dispatches SET sent_dt = ${now}
      WHERE id = ${id} AND answered_dt IS NULL
        AND (sent_dt IS NULL OR sent_dt < ${now}::timestamptz - make_interval(secs => ${leaseSeconds}))
      RETURNING id
    ), sent AS (
      UPDATE update_executions e SET sent_dt = ${now}
      FROM claimed
      WHERE e.dispatch_id = claimed.id AND e.status = 'QUEUED'
      RETURNING e.id, e.update_id, e.device_id, e.attempt
    )
    SELECT sent.id AS execution_id, sent.attempt, d.kind, d.external_id, f.hardware_type, f.version, f.file_link, f.sha256, f.size_bytes,
           u.request_id
    FROM claimed
    LEFT JOIN sent ON true
    LEFT JOIN devices d ON d.id = sent.device_id
    LEFT JOIN updates u ON u.id = sent.update_id
    LEFT JOIN firmwares f ON f.id = u.firmware_id
    ORDER BY sent.id`.execute(db);
  if (rows.length === 0) return undefined;
  return rows.filter((row): row is ClaimedCommand => row.execution_id !== null);
};

export const findDispatch = (db: Db, id: number) =>
  db.selectFrom('update_dispatches').select(['id', 'answered_dt']).where('id', '=', id).executeTakeFirst();

export interface DispatchOutcome {
  execution_id: number;
  /** What becomes of an execution that is still QUEUED in this chunk. */
  status: 'IN_PROGRESS' | 'QUEUED' | 'REJECTED';
  reason: string | null;
  detail: string | null;
  /** When a QUEUED one may be released again. */
  next_attempt_dt: Date | null;
  /** Whether the next command is another one to the backend, or a repetition of this one, whose fate is unknown. */
  is_answered: boolean;
}

/**
 * Stores what the backend answered for a chunk, in one statement. Executions that have moved on since (a device can be faster than
 * the backend's answer) stay as they are.
 */
export const recordDispatch = async (
  db: Db,
  id: number,
  outcomes: readonly DispatchOutcome[],
  { now, error }: { now: Date; error: string | null },
): Promise<void> => {
  await sql`
    WITH answered AS (
      UPDATE update_dispatches SET answered_dt = ${now}, error = ${error} WHERE id = ${id} RETURNING id
    )
    UPDATE update_executions e
    SET status = o.status, reason = o.reason, detail = o.detail, next_attempt_dt = o.next_attempt_dt,
        dispatch_id = CASE WHEN o.status = 'QUEUED' THEN NULL ELSE e.dispatch_id END,
        attempt = CASE WHEN o.status = 'QUEUED' AND o.is_answered THEN e.attempt + 1 ELSE e.attempt END,
        finished_dt = CASE WHEN o.status = 'REJECTED' THEN ${now}::timestamptz END
    FROM answered, unnest(
      ${outcomes.map((o) => o.execution_id)}::integer[],
      ${outcomes.map((o) => o.status)}::text[],
      ${outcomes.map((o) => o.reason)}::text[],
      ${outcomes.map((o) => o.detail)}::text[],
      ${outcomes.map((o) => o.next_attempt_dt)}::timestamptz[],
      ${outcomes.map((o) => o.is_answered)}::boolean[]
    ) AS o (execution_id, status, reason, detail, next_attempt_dt, is_answered)
    WHERE e.id = o.execution_id AND e.dispatch_id = answered.id AND e.status = 'QUEUED'`.execute(db);
};

export const deferredReason = (text: string): string => `${reasons.deferred}: ${text}`.slice(0, 500);
