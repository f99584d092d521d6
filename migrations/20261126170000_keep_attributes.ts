// The previous release keeps working: it neither reads nor writes the new table.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // What a device that polls tells of itself (configData). Apart from iot_devices, which every poll reads and which stays narrow.
  await db.schema
    .createTable('device_attributes')
    .addColumn('device_id', 'integer', (c) => c.notNull())
    .addColumn('attributes', 'jsonb', (c) => c.notNull())
    .addColumn('told_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addPrimaryKeyConstraint('device_attributes_pkey', ['device_id'])
    .addForeignKeyConstraint('device_attributes_device_id_fkey', ['device_id'], 'devices', ['id'])
    .addCheckConstraint('device_attributes_attributes_check', sql`jsonb_typeof(attributes) = 'object'`)
    .execute();
}
