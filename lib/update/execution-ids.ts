import { sql } from 'kysely';
import type { Db } from '../db/database.ts';

/**
 * Makes the ids of new executions begin at `first`, unless they are beyond it already. Devices that poll remember actions by these ids. A
 * device that has seen an id takes its action for done, even if the id comes from another environment; so the ids of environments begin far
 * apart. The next id is never lowered, because an id must never be used twice. May be repeated, also while updates are requested.
 */
export async function raiseExecutionIds(db: Db, first: number): Promise<void> {
  const needsRaise = async (each: Db) =>
    (await sql`SELECT FROM update_executions_id_seq WHERE last_value < ${first}`.execute(each)).rows.length > 0;
  if (!(await needsRaise(db))) return;
  await db.transaction().execute(async (trx) => {
    // Nobody may take an id meanwhile. Otherwise two callers at one moment, or ids taken just now, could make this lower the next id.
    await sql`LOCK TABLE update_executions IN SHARE ROW EXCLUSIVE MODE`.execute(trx);
    if (await needsRaise(trx)) await sql`SELECT setval('update_executions_id_seq', ${first}, false)`.execute(trx);
  });
}
