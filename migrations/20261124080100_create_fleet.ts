// First release: nothing runs yet.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('devices')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('external_id', 'text', (c) => c.notNull())
    .addColumn('version', 'smallint')
    .addColumn('channel', 'text', (c) => c.notNull())
    .addColumn('created_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addPrimaryKeyConstraint('devices_pkey', ['id'])
    .addUniqueConstraint('devices_kind_external_id_key', ['kind', 'external_id'])
    .addCheckConstraint('devices_kind_check', sql`kind IN ('scooter', 'cabinet')`)
    .addCheckConstraint('devices_external_id_check', sql`char_length(external_id) BETWEEN 1 AND 128`)
    .addCheckConstraint('devices_version_check', sql`version IS NULL OR (kind = 'scooter' AND version IN (1, 2))`)
    .addCheckConstraint('devices_channel_check', sql`channel IN ('telematics', 'iot')`)
    .execute();

  await db.schema
    .createTable('device_firmwares')
    .addColumn('device_id', 'integer', (c) => c.notNull())
    .addColumn('hardware_type', 'text', (c) => c.notNull())
    .addColumn('firmware_id', 'integer')
    .addColumn('reported_version', 'text', (c) => c.notNull())
    .addColumn('firmware_update_dt', sql`timestamptz(3)`, (c) => c.notNull())
    // Seconds from command to proof; null when the service did not order the installation.
    .addColumn('firmware_update_time', 'double precision')
    .addColumn('observed_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addColumn('source', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('device_firmwares_pkey', ['device_id', 'hardware_type'])
    .addForeignKeyConstraint('device_firmwares_device_id_fkey', ['device_id'], 'devices', ['id'])
    .addForeignKeyConstraint('device_firmwares_hardware_type_fkey', ['hardware_type'], 'hardware_types', ['name'])
    .addForeignKeyConstraint('device_firmwares_firmware_id_fkey', ['firmware_id'], 'firmwares', ['id'])
    .addCheckConstraint('device_firmwares_source_check', sql`source IN ('confirmation', 'observation')`)
    .execute();

  await db.schema
    .createTable('device_firmware_history')
    .addColumn('id', 'bigint', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('device_id', 'integer', (c) => c.notNull())
    .addColumn('hardware_type', 'text', (c) => c.notNull())
    .addColumn('firmware_id', 'integer')
    .addColumn('reported_version', 'text', (c) => c.notNull())
    .addColumn('firmware_update_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addColumn('firmware_update_time', 'double precision')
    .addColumn('observed_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addColumn('source', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('device_firmware_history_pkey', ['id'])
    .addForeignKeyConstraint('device_firmware_history_device_id_fkey', ['device_id'], 'devices', ['id'])
    .addForeignKeyConstraint('device_firmware_history_hardware_type_fkey', ['hardware_type'], 'hardware_types', ['name'])
    .addForeignKeyConstraint('device_firmware_history_firmware_id_fkey', ['firmware_id'], 'firmwares', ['id'])
    .execute();
  await db.schema.createIndex('device_firmware_history_device_idx').on('device_firmware_history').columns(['device_id', 'id']).execute();

  for (const [view, kind, own] of [
    ['scooters', 'scooter', 'yandex_iot'],
    ['cabinets', 'cabinet', 'cabinet'],
  ] as const) {
    const runs = (hardwareType: string) =>
      sql`max(r.firmware_id) FILTER (WHERE r.hardware_type = ${sql.lit(hardwareType)}) AS ${sql.id(`${hardwareType}_firmware_id`)}`;
    // Grouped by every column of the device, so that a condition on external_id reaches the index below.
    await sql`
      CREATE VIEW ${sql.id(view)} AS
      SELECT d.id, d.external_id, d.version,
             ${sql.join(['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate', 'audio_unlock', 'audio_battery_low'].map(runs))},
             d.channel = 'iot' AS iot,
             max(r.firmware_update_dt) AS firmware_update_dt,
             (array_agg(r.firmware_update_time ORDER BY r.firmware_update_dt DESC NULLS LAST))[1] AS firmware_update_time,
             ${runs(own)}
      FROM devices d
      LEFT JOIN device_firmwares r ON r.device_id = d.id
      WHERE d.kind = ${sql.lit(kind)}
      GROUP BY d.id, d.external_id, d.version, d.channel`.execute(db);
  }
}
