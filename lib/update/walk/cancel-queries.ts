import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { moved, movesOf } from '../move-executions.ts';
import { stoppable, unasked, unfinished } from '../predicates.ts';

/** Which unfinished executions an end is for. */
export type Unfinished = 'unasked' | 'all';

/**
 * Ends executions as CANCELED and answers how many: those whose device has not heard of the update, or all. One that is being handed to the
 * backend at this moment is asked already, and what somebody else holds at this moment is left to the next step. Of those not ended, devices that poll are asked to stop, once.
 */
export const cancelExecutions = async (trx: Trx, update_id: number, which: Unfinished, reason: string, now: Date): Promise<number> => {
  const ends = which === 'all' ? sql`true` : unasked;
  const { rows } = await sql<{ n: number }>`
    WITH locked AS (
      SELECT e.id, e.phase, CASE WHEN ${ends} THEN 'canceled' ELSE 'cancel_requested' END AS event
      FROM update_executions e
      WHERE e.update_id = ${update_id} AND ${unfinished} AND (${ends} OR ${stoppable})
      ORDER BY e.id
      FOR NO KEY UPDATE OF e ${which === 'all' ? sql`` : sql`SKIP LOCKED`}
    ), moved AS (
      ${moved(movesOf('locked', ['canceled', 'cancel_requested']), now, {
        reason: sql`CASE m.event WHEN 'canceled' THEN ${reason} END`,
      })}
      RETURNING e.phase
    )
    SELECT count(*) AS n FROM moved WHERE phase = 'ended'`.execute(trx);
  return rows[0]?.n ?? 0;
};
