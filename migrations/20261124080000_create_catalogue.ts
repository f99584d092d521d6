// First release: nothing runs yet.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('hardware_types')
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('device_kind', 'text', (c) => c.notNull())
    .addColumn('channel', 'text', (c) => c.notNull())
    // Generations of scooters it fits; a scooter with its own IoT has no generation and is meant by fits_own_iot.
    .addColumn('scooter_versions', sql`smallint[]`, (c) => c.notNull().defaultTo(sql`'{}'`))
    .addColumn('fits_own_iot', 'boolean', (c) => c.notNull().defaultTo(false))
    .addColumn('max_size_bytes', 'bigint', (c) => c.notNull())
    // Ordinals are handed out by raising this number in the statement that makes a firmware available.
    .addColumn('last_version_num', 'integer', (c) => c.notNull().defaultTo(0))
    .addPrimaryKeyConstraint('hardware_types_pkey', ['name'])
    .addCheckConstraint('hardware_types_name_check', sql`name ~ '^[a-z][a-z0-9_]{0,62}$'`)
    .addCheckConstraint('hardware_types_device_kind_check', sql`device_kind IN ('scooter', 'cabinet')`)
    .addCheckConstraint('hardware_types_channel_check', sql`channel IN ('telematics', 'iot')`)
    .addCheckConstraint('hardware_types_scooter_versions_check', sql`scooter_versions <@ ARRAY[1, 2]::smallint[]`)
    .addCheckConstraint('hardware_types_max_size_bytes_check', sql`max_size_bytes > 0`)
    .execute();

  await db.schema
    .createTable('firmwares')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('hardware_type', 'text', (c) => c.notNull())
    .addColumn('version', 'text', (c) => c.notNull())
    .addColumn('version_num', 'integer')
    .addColumn('status', 'text', (c) => c.notNull())
    // Why it was rejected or withdrawn.
    .addColumn('reason', 'text')
    .addColumn('object_key', 'text', (c) => c.notNull())
    .addColumn('file_link', 'text')
    .addColumn('size_bytes', 'bigint')
    .addColumn('sha256', 'text')
    .addColumn('sha1', 'text')
    .addColumn('md5', 'text')
    .addColumn('comment', 'text', (c) => c.notNull().defaultTo(''))
    .addColumn('created_by', 'text', (c) => c.notNull())
    .addColumn('created_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addPrimaryKeyConstraint('firmwares_pkey', ['id'])
    .addForeignKeyConstraint('firmwares_hardware_type_fkey', ['hardware_type'], 'hardware_types', ['name'])
    .addUniqueConstraint('firmwares_hardware_type_version_key', ['hardware_type', 'version'])
    .addUniqueConstraint('firmwares_hardware_type_version_num_key', ['hardware_type', 'version_num'])
    .addCheckConstraint('firmwares_status_check', sql`status IN ('awaiting_upload', 'available', 'withdrawn', 'rejected')`)
    .addCheckConstraint('firmwares_version_check', sql`char_length(version) BETWEEN 1 AND 64`)
    .addCheckConstraint(
      'firmwares_available_check',
      sql`status NOT IN ('available', 'withdrawn') OR (version_num IS NOT NULL AND file_link IS NOT NULL AND size_bytes > 0 AND sha256 IS NOT NULL AND sha1 IS NOT NULL AND md5 IS NOT NULL)`,
    )
    .execute();

  const mebibyte = 1024 * 1024;
  const carried = { device_kind: 'scooter', channel: 'telematics', scooter_versions: sql`'{1,2}'`, fits_own_iot: false };
  await (db as Kysely<Record<string, Record<string, unknown>>>)
    .insertInto('hardware_types')
    .values([
      { ...carried, name: 'vega_mcu', max_size_bytes: 16 * mebibyte },
      { ...carried, name: 'vega_gsm', max_size_bytes: 32 * mebibyte },
      { ...carried, name: 'audio_lock', max_size_bytes: 8 * mebibyte },
      { ...carried, name: 'audio_locate', max_size_bytes: 8 * mebibyte },
      { ...carried, name: 'audio_unlock', max_size_bytes: 8 * mebibyte },
      { ...carried, name: 'audio_battery_low', max_size_bytes: 8 * mebibyte },
      {
        name: 'yandex_iot',
        device_kind: 'scooter',
        channel: 'iot',
        scooter_versions: sql`'{}'`,
        fits_own_iot: true,
        max_size_bytes: 1024 * mebibyte,
      },
      {
        name: 'cabinet',
        device_kind: 'cabinet',
        channel: 'iot',
        scooter_versions: sql`'{}'`,
        fits_own_iot: false,
        max_size_bytes: 1024 * mebibyte,
      },
    ])
    .execute();
}
