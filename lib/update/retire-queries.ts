import { sql } from 'kysely';
import type { Trx } from '../db/database.ts';
import { moved, movesOf } from './move-executions.ts';
import { unfinished } from './predicates.ts';

/** Ends the executions of a device that is being retired. Only while no plan is being made. */
export const removeExecutions = async (trx: Trx, device_id: number, now: Date): Promise<void> => {
  await sql`
    WITH locked AS (
      SELECT e.id, e.phase, 'removed' AS event
      FROM update_executions e
      WHERE e.device_id = ${device_id} AND ${unfinished}
      ORDER BY e.id
      FOR NO KEY UPDATE OF e
    )
    ${moved(movesOf('locked', ['removed']), now)}`.execute(trx);
};
