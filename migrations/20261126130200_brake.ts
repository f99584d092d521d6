// The previous release keeps working: the column has a default. A forced cancel that it does is done at once, and needs no note.
import type { Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('updates')
    // It was canceled with force: its steps also end the executions of devices that are at work.
    .addColumn('cancels_all', 'boolean', (c) => c.notNull().defaultTo(false))
    .execute();
}
