import { sql } from 'kysely';
import type { Db } from '../db/database.ts';

/**
 * Has the ids of new executions begin at `first`, unless they are beyond it already. Devices that poll remember actions by these ids and take
 * one that they have seen for done, also when it comes from another environment: so environments begin far apart. Never lowers them: an id
 * is never used again. Safe to repeat and while updates are requested.
 */
export async function raiseExecutionIds(db: Db, first: number): Promise<void> {
  const needsRaise = async (each: Db) =>
    (await sql`SELECT FROM update_executions_id_seq WHERE last_value < ${first}`.execute(each)).rows.length > 0;
  if (!(await needsRaise(db))) return;
  await db.transaction().execute(async (trx) => {
    // Nobody takes an id meanwhile: two who raise, or one who raises past those just taken, could lower them.
    await sql`LOCK TABLE update_executions IN SHARE ROW EXCLUSIVE MODE`.execute(trx);
    if (await needsRaise(trx)) await sql`SELECT setval('update_executions_id_seq', ${first}, false)`.execute(trx);
  });
}
