// The release before keeps working: the column has a default.
import type { Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('update_dispatches')
    // The pace was changed after the release: the chunk is not handed over any more, and its executions are released anew.
    .addColumn('is_recalled', 'boolean', (c) => c.notNull().defaultTo(false))
    .execute();
}
