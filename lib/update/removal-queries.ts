import { sql } from 'kysely';
import type { Trx } from '../db/database.ts';
import type { Removal } from '../removal.ts';
import { keepFinalFigures } from './figure-queries.ts';

/**
 * Removes executions, dispatches and exclusions of one update that ended long ago; its row stays, with their final figures. Answers whether
 * there was such an update: then another may be left.
 */
export async function removeOldExecutions(trx: Trx, { before, limit, now }: Removal): Promise<boolean> {
  const update = await trx
    .selectFrom('updates')
    .select(['id', 'executions_removed_dt', sql<boolean>`final_figures IS NULL`.as('lacks_figures')])
    .where('has_executions', '=', true)
    .where('finished_dt', '<', before)
    .orderBy('finished_dt')
    .limit(1)
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
  if (!update) return false;
  const { id } = update;
  if (!update.executions_removed_dt) {
    // An update that ended under an earlier release of the service has no figures yet.
    if (update.lacks_figures) await keepFinalFigures(trx, id);
    await trx.updateTable('updates').set({ executions_removed_dt: now }).where('id', '=', id).execute();
  }
  // Executions first: they refer to their dispatch.
  for (const remove of [removeExecutions, removeDispatches, removeExclusions]) {
    const { numAffectedRows = 0n } = await remove(id, limit).execute(trx);
    if (numAffectedRows >= limit) return true;
  }
  await trx.updateTable('updates').set({ has_executions: false }).where('id', '=', id).execute();
  return true;
}

// Each reads an index of the update's rows in its order, so that it reads only the rows that it removes.

const removeExecutions = (update_id: number, limit: number) => sql`
  DELETE FROM update_executions WHERE id = ANY (ARRAY(
    SELECT id FROM update_executions WHERE update_id = ${update_id} ORDER BY status, id LIMIT ${limit}
  ))`;

const removeDispatches = (update_id: number, limit: number) => sql`
  DELETE FROM update_dispatches WHERE id = ANY (ARRAY(
    SELECT id FROM update_dispatches WHERE update_id = ${update_id} ORDER BY sent_dt LIMIT ${limit}
  ))`;

const removeExclusions = (update_id: number, limit: number) => sql`
  DELETE FROM update_exclusions WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM update_exclusions WHERE update_id = ${update_id} ORDER BY reason, external_id LIMIT ${limit}
  ))`;

/**
 * Removes outages that were over long ago, except those within the time of an update that has not ended. Goes by the time when outages were
 * noted, which is nearly the order in which they were over. Answers whether there may be more.
 */
export async function removeOldOutages(trx: Trx, { before, limit }: Removal): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    DELETE FROM outages WHERE id IN (
      SELECT o.id
      FROM (SELECT id, update_id, coalesce(ended_dt, seen_dt) AS over_dt FROM outages ORDER BY id LIMIT ${limit}) o
      WHERE o.over_dt < ${before} AND NOT EXISTS (
        SELECT FROM updates u
        WHERE u.finished_dt IS NULL AND u.created_dt < o.over_dt AND u.id = coalesce(o.update_id, u.id)
      )
    )`.execute(trx);
  return numAffectedRows >= limit;
}
