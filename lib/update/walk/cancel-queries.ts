import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { moved, movesOf } from '../move-executions.ts';
import { atWork, handedOver, stoppable, unasked, waiting } from '../predicates.ts';

/** Which unfinished executions are to be ended. */
export type Unfinished = 'unasked' | 'all';

/** How many a call ends itself: enough for most updates as a whole, few enough that the call for a large one is still answered at once. */
export const maximumCanceledByCall = 2_000;
/** Bounds a step: it locks its update while it ends them, which takes a second or two. */
export const maximumCanceledByStep = 10_000;

export interface Canceled {
  /** How many have ended now. */
  canceled: number;
  /** Whether others may be left. */
  isMore: boolean;
}

export interface Cancel {
  update_id: number;
  which: Unfinished;
  reason: string;
  /** How many at most. */
  limit: number;
  now: Date;
}

/**
 * Ends executions as CANCELED: those whose device has not heard of the update, or all. An execution that is on its way to the backend counts
 * as asked already. Rows that another transaction holds are left to the next step. Where an execution goes on and its device polls, the
 * device is asked, once, to stop.
 */
export const cancelExecutions = async (trx: Trx, { update_id, which, reason, limit, now }: Cancel): Promise<Canceled> => {
  const ends = which === 'all' ? sql`true` : unasked;
  const { rows } = await sql<{ chosen: number; canceled: number }>`
    WITH chosen AS (
      -- Each part in the order of its index, so that no batch reads executions that earlier ones have ended. Handed over ones come first.
      (
        SELECT e.id FROM update_executions e
        WHERE e.update_id = ${update_id} AND ${handedOver} AND (${ends} OR ${stoppable})
        ORDER BY e.phase, e.sent_dt
        LIMIT ${limit}
      ) UNION ALL (
        SELECT e.id FROM update_executions e
        WHERE e.update_id = ${update_id} AND ${waiting}
        ORDER BY e.channel, e.next_attempt_dt NULLS FIRST, e.id
        LIMIT ${limit}
      )
      LIMIT ${limit}
    ), locked AS (
      -- In the order of ids, like all statements that write many executions.
      SELECT e.id, e.phase, CASE WHEN ${ends} THEN 'canceled' ELSE 'cancel_requested' END AS event
      FROM update_executions e
      WHERE e.id = ANY (ARRAY(SELECT id FROM chosen)) AND (${ends} OR ${stoppable})
      ORDER BY e.id
      FOR NO KEY UPDATE OF e ${which === 'all' ? sql`` : sql`SKIP LOCKED`}
    ), moved AS (
      ${moved(movesOf('locked', ['canceled', 'cancel_requested']), now, {
        reason: sql`CASE m.event WHEN 'canceled' THEN ${reason} END`,
      })}
      RETURNING e.phase
    )
    SELECT (SELECT count(*) FROM chosen) AS chosen, (SELECT count(*) FROM moved WHERE phase = 'ended') AS canceled`.execute(trx);
  const { chosen = 0, canceled = 0 } = rows[0] ?? {};
  return { canceled, isMore: chosen >= limit };
};

/** How many devices are at work, or about to be. A cancel without force does not end their executions. */
export const countAtWork = async (trx: Trx, update_id: number): Promise<number> => {
  const { rows } = await sql<{ n: number }>`
    SELECT count(*) AS n FROM update_executions e WHERE e.update_id = ${update_id} AND ${handedOver} AND ${atWork}`.execute(trx);
  return rows[0]?.n ?? 0;
};
