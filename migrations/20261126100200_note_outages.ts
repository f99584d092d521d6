// The previous release keeps working: it writes none of this, and its deadlines run through outages as before.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // Time in which devices could not be heard: no deadline runs in it.
  await db.schema
    .createTable('outages')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    // What was away: `walk` is the service itself, which took no step of an update.
    .addColumn('cause', 'text', (c) => c.notNull())
    // null: it concerns all updates.
    .addColumn('update_id', 'integer')
    .addColumn('began_dt', sql`timestamptz(3)`, (c) => c.notNull())
    // When it was last noticed.
    .addColumn('seen_dt', sql`timestamptz(3)`, (c) => c.notNull())
    // null: nothing has been heard since.
    .addColumn('ended_dt', sql`timestamptz(3)`)
    .addPrimaryKeyConstraint('outages_pkey', ['id'])
    .addForeignKeyConstraint('outages_update_id_fkey', ['update_id'], 'updates', ['id'], (c) => c.onDelete('cascade'))
    .addCheckConstraint('outages_cause_check', sql`cause IN ('walk', 'backend', 'signing', 'storage')`)
    .addCheckConstraint('outages_walk_check', sql`(cause = 'walk') = (update_id IS NOT NULL)`)
    .addCheckConstraint('outages_time_check', sql`began_dt <= seen_dt AND began_dt <= ended_dt`)
    .execute();
  await sql`CREATE UNIQUE INDEX outages_open_key ON outages (cause) WHERE ended_dt IS NULL AND cause <> 'walk'`.execute(db);
  await db.schema.createIndex('outages_update_id_idx').on('outages').columns(['update_id', 'seen_dt']).execute();

  // When the latest step was taken.
  await db.schema.alterTable('updates').addColumn('stepped_dt', sql`timestamptz(3)`).execute();

  await db.schema
    .alterTable('update_dispatches')
    // The latest look-up of the chunk that was answered came after the deadline of what was sent up to this time; null: there was none.
    .addColumn('overdue_sent_until', sql`timestamptz(3)`)
    .execute();
}
