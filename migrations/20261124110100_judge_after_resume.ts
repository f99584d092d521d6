// The release before keeps working: the column may be null.
import type { Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('updates')
    // Executions by status when the update was last resumed: a rule that pauses judges what has ended since.
    .addColumn('resumed_counts', 'jsonb')
    .execute();
}
