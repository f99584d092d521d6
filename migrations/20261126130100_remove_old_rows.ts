// The previous release keeps working: it removes nothing, and what it asks of these tables stays as it was.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('updates')
    // Since when its executions, dispatches and exclusions are being removed because they are older than is kept; null: all are there.
    .addColumn('executions_removed_dt', sql`timestamptz(3)`)
    // false: none of them is left.
    .addColumn('has_executions', 'boolean', (c) => c.notNull().defaultTo(true))
    .execute();
  await sql`
    CREATE INDEX updates_removable_idx ON updates (finished_dt) WHERE has_executions AND finished_dt IS NOT NULL`.execute(db);

  // How far old rows of a table have been worked off, where no index says which are left.
  await db.schema
    .createTable('removal_places')
    .addColumn('table_name', 'text', (c) => c.notNull())
    .addColumn('after_id', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('removal_places_pkey', ['table_name'])
    .execute();
  await sql`INSERT INTO removal_places (table_name, after_id) VALUES ('device_firmware_history', 0)`.execute(db);

  // A page of exclusions, of one reason or of all, is read in the order of this key. An update is about devices of one kind, so each of its
  // devices still comes once.
  await sql`
    ALTER TABLE update_exclusions
      DROP CONSTRAINT update_exclusions_pkey,
      ADD CONSTRAINT update_exclusions_pkey PRIMARY KEY (update_id, reason, external_id)`.execute(db);
}
