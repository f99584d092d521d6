import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { ExecutionStatus } from './execution.ts';
import { findUpdate } from './shown-update-queries.ts';
import type { Update } from './update.ts';

/** What an event tells of an update: its status, and afterwards, once, that the last of its executions has ended. */
const toldOf = ({ status, finished_dt }: Pick<Update, 'status' | 'finished_dt'>): string => (finished_dt ? `${status} finished` : status);

/** Two steps have told different things at one moment, and nobody knows which event came last. So the update is told once more. */
const toldTwice = '';

const currentlyTold = sql<string>`status || CASE WHEN finished_dt IS NULL THEN '' ELSE ' finished' END`;

export interface UntoldUpdate {
  update: Update;
  /** What was told of it before. */
  told: string | null;
}

/** The update as it is now; undefined when this was already told, and when no events are told of this update at all. */
export const findUntoldUpdate = async (db: Db, id: number, now: Date): Promise<UntoldUpdate | undefined> => {
  const row = await db.selectFrom('updates').select('told').where('id', '=', id).where('told', '<>', currentlyTold).executeTakeFirst();
  const update = row && (await findUpdate(db, id, now));
  return update && { update, told: row.told };
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

/** Notes what was told; false: another step told something else meanwhile, so that it has to be told again. */
export const markUpdateTold = async (db: Db, { update, told }: UntoldUpdate): Promise<boolean> => {
  const { rows } = await sql<{ told: string }>`
    UPDATE updates SET told = CASE WHEN told IN (${told}, ${toldOf(update)}) THEN ${toldOf(update)} ELSE ${toldTwice} END
    WHERE id = ${update.id}
    RETURNING told`.execute(db);
  return rows[0]?.told !== toldTwice;
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
  /** What was told of it before. */
  told_status: string | null;
}

/** Executions whose status differs from what was last told of them, the oldest first. */
export const listUntoldExecutions = (db: Db, update_id: number, limit: number): Promise<UntoldExecution[]> =>
  db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .select(['e.id', 'd.kind', 'd.external_id', 'e.status', 'e.reason', 'e.attempt', 'e.sent_dt', 'e.finished_dt', 'e.told_status'])
    .where('e.update_id', '=', update_id)
    .whereRef('e.told_status', '<>', 'e.status')
    .orderBy('e.id')
    .limit(limit)
    .$narrowType<{ status: ExecutionStatus }>()
    .execute();

/**
 * Notes which statuses were told. The executions may have moved on since; then they are told again. false: another step told other statuses of
 * some executions meanwhile, so that these have to be told again.
 */
export const markExecutionsTold = async (
  db: Db,
  told: readonly Pick<UntoldExecution, 'id' | 'status' | 'told_status'>[],
): Promise<boolean> => {
  const ids = told.map(({ id }) => id);
  const { rows } = await sql<{ is_certain: boolean | null }>`
    WITH locked AS (
      -- In the order of ids, like all statements that write many executions.
      SELECT id FROM update_executions WHERE id = ANY (${ids}::integer[]) ORDER BY id FOR NO KEY UPDATE
    ), marked AS (
      UPDATE update_executions e
      SET told_status = CASE WHEN e.told_status IN (t.before, t.status) THEN t.status ELSE ${toldTwice} END
      FROM locked, unnest(
        ${ids}::integer[], ${told.map(({ status }) => status)}::text[], ${told.map(({ told_status }) => told_status)}::text[]
      ) AS t (id, status, before)
      WHERE e.id = locked.id AND t.id = e.id
      RETURNING e.told_status
    )
    SELECT bool_and(told_status <> ${toldTwice}) AS is_certain FROM marked`.execute(db);
  return rows[0]?.is_certain !== false;
};
