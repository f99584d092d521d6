// The previous release keeps working. It does not say when the next step of an update is due: what it walks meanwhile may look late.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('updates')
    // When the message of the next step is to come; null when the last execution has ended.
    .addColumn('due_dt', sql`timestamptz(3)`)
    .execute();
  await sql`UPDATE updates SET due_dt = now() WHERE finished_dt IS NULL`.execute(db);
  await sql`CREATE INDEX updates_due_idx ON updates (due_dt) WHERE due_dt IS NOT NULL`.execute(db);

  await db.schema
    .alterTable('backend_gate')
    // What the last failed call said; null while the backend is well.
    .addColumn('reason', 'text')
    .execute();

  await db.schema
    .alterTable('update_dispatches')
    // Failed calls that the row stands for: those that failed in the same way before have no row of their own.
    .addColumn('calls', 'integer', (c) => c.notNull().defaultTo(1))
    .execute();

  await db.schema.alterTable('observations').dropConstraint('observations_status_check').execute();
  await db.schema
    .alterTable('observations')
    .addCheckConstraint('observations_status_check', sql`status IN ('IN_PROGRESS', 'COMPLETED', 'CANCELED', 'FAILED')`)
    .execute();
}
