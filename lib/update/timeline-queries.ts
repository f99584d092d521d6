import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { ExecutionGroup } from './timeline.ts';

/** The span of a timeline for which the caller names no times. */
export const findUpdateSpan = (db: Db, id: number) =>
  db
    .selectFrom('updates')
    .select(['created_dt', 'started_dt', 'finished_dt', 'executions_removed_dt'])
    .where('id', '=', id)
    .executeTakeFirst();

/**
 * Groups an update's executions by the moments at which they were planned, asked and ended. Reads an index entry of every execution, and
 * answers a few hundred groups.
 *
 * For each time, `width_bucket` counts the moments before it. This number is the index of the first moment at or after the time. While a
 * command is on its way to the backend, the execution is still QUEUED, though `sent_dt` is set already.
 */
export const groupExecutions = async (db: Db, update_id: number, moments: readonly Date[]): Promise<ExecutionGroup[]> => {
  const momentOf = (time: ReturnType<typeof sql>) => sql`width_bucket(${time} - interval '1 millisecond', ${moments}::timestamptz[])`;
  const { rows } = await sql<ExecutionGroup>`
    SELECT e.status,
           ${momentOf(sql`e.queued_dt`)} AS queued,
           ${momentOf(sql`CASE WHEN e.status <> 'QUEUED' THEN e.sent_dt END`)} AS asked,
           ${momentOf(sql`e.finished_dt`)} AS ended,
           count(*) AS executions
    FROM update_executions e
    WHERE e.update_id = ${update_id}
    GROUP BY 1, 2, 3, 4`.execute(db);
  return rows;
};
