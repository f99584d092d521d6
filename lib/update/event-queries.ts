import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { ExecutionStatus } from './execution.ts';
import type { Update } from './update.ts';
import { findUpdate } from './update-queries.ts';

/** What an event tells of an update: its status, and afterwards, once, that the last of its executions has ended. */
const toldOf = ({ status, finished_dt }: Pick<Update, 'status' | 'finished_dt'>): string => (finished_dt ? `${status} finished` : status);

const currentlyTold = sql<string>`status || CASE WHEN finished_dt IS NULL THEN '' ELSE ' finished' END`;

/** The update as it is now; undefined when this was already told, and when no events are told of this update at all. */
export const findUntoldUpdate = async (db: Db, id: number, now: Date): Promise<Update | undefined> => {
  const row = await db.selectFrom('updates').select('id').where('id', '=', id).where('told', '<>', currentlyTold).executeTakeFirst();
  return row && findUpdate(db, id, now);
};

/** Whether anything is left to tell. */
export const hasUntold = async (db: Db, update_id: number): Promise<boolean> => {
  const untold = await db
    .selectFrom('updates')
    .select('id')
    .where('id', '=', update_id)
    .where((eb) =>
      eb.or([
        eb('told', '<>', currentlyTold),
        eb.exists(
          eb
            .selectFrom('update_executions as e')
            .select('e.id')
            .where('e.update_id', '=', update_id)
            .whereRef('e.told_status', '<>', 'e.status'),
        ),
      ]),
    )
    .executeTakeFirst();
  return untold !== undefined;
};

export const markUpdateTold = async (db: Db, update: Update): Promise<void> => {
  await db
    .updateTable('updates')
    .set({ told: toldOf(update) })
    .where('id', '=', update.id)
    .execute();
};

export interface UntoldExecution {
  id: number;
  kind: string;
  external_id: string;
  status: ExecutionStatus;
  reason: string | null;
  attempt: number;
  sent_dt: Date | null;
  finished_dt: Date | null;
}

/** Executions whose status differs from what was last told of them, the oldest first. */
export const listUntoldExecutions = (db: Db, update_id: number, limit: number): Promise<UntoldExecution[]> =>
  db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .select(['e.id', 'd.kind', 'd.external_id', 'e.status', 'e.reason', 'e.attempt', 'e.sent_dt', 'e.finished_dt'])
    .where('e.update_id', '=', update_id)
    .whereRef('e.told_status', '<>', 'e.status')
    .orderBy('e.id')
    .limit(limit)
    .$narrowType<{ status: ExecutionStatus }>()
    .execute();

/** Notes which statuses were told. The executions may have moved on since; then they are told again. */
export const markExecutionsTold = async (db: Db, told: readonly Pick<UntoldExecution, 'id' | 'status'>[]): Promise<void> => {
  const ids = told.map(({ id }) => id);
  await sql`
    WITH locked AS (
      -- In the order of ids, as everything that writes many executions.
      SELECT id FROM update_executions WHERE id = ANY (${ids}::integer[]) ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE update_executions e SET told_status = t.status
    FROM locked, unnest(${ids}::integer[], ${told.map(({ status }) => status)}::text[]) AS t (id, status)
    WHERE e.id = locked.id AND t.id = e.id`.execute(db);
};
