// The release before keeps working: the columns may be null, and null is not told.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // What was last told of it as an event; null: nothing is told.
  await db.schema.alterTable('updates').addColumn('told', 'text').execute();
  await db.schema.alterTable('update_executions').addColumn('told_status', 'text').execute();
  // Empty while no events are told.
  await sql`CREATE INDEX update_executions_untold_idx ON update_executions (update_id, id) WHERE told_status <> status`.execute(db);
}
