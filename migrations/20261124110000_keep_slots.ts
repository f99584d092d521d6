// The release before keeps working: the column has a default.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('update_executions')
    // A call to the backend about it has ended, or its function died, without an answer: the device may be at work.
    .addColumn('is_unanswered', 'boolean', (c) => c.notNull().defaultTo(false))
    .execute();
  await sql`
    CREATE INDEX update_executions_unanswered_idx ON update_executions (update_id, next_attempt_dt)
    WHERE status IN ('QUEUED', 'IN_PROGRESS') AND is_unanswered`.execute(db);
}
