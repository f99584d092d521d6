// The previous release keeps working: it neither reads nor writes what is new.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // Filters of devices that have a name.
  await db.schema
    .createTable('groups')
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('filter', 'jsonb', (c) => c.notNull())
    .addColumn('comment', 'text', (c) => c.notNull().defaultTo(''))
    .addColumn('created_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addPrimaryKeyConstraint('groups_pkey', ['name'])
    .addCheckConstraint('groups_name_check', sql`name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'`)
    .addCheckConstraint('groups_filter_check', sql`jsonb_typeof(filter) = 'object'`)
    .execute();

  // The group that an update asks for its devices for as long as it is open. Null: none, or it is not open any more.
  await sql`
    ALTER TABLE updates ADD COLUMN open_group text CONSTRAINT updates_open_group_fkey REFERENCES groups (name)`.execute(db);
  await sql`CREATE INDEX updates_open_group_idx ON updates (open_group) WHERE open_group IS NOT NULL`.execute(db);

  // What a device was called before.
  await db.schema
    .createTable('device_aliases')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('device_id', 'integer', (c) => c.notNull())
    .addColumn('external_id', 'text', (c) => c.notNull())
    .addColumn('until_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addPrimaryKeyConstraint('device_aliases_pkey', ['id'])
    .addForeignKeyConstraint('device_aliases_device_id_fkey', ['device_id'], 'devices', ['id'])
    .execute();
  await db.schema.createIndex('device_aliases_device_idx').on('device_aliases').columns(['device_id', 'id']).execute();
}
