// The previous release keeps working: it neither asks for the new columns nor stores the new sources.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // What is known only of devices that poll this service themselves.
  await db.schema
    .createTable('iot_devices')
    .addColumn('device_id', 'integer', (c) => c.notNull())
    // SHA-256 of its token, which nobody can find out from that: a token has 256 random bits. null: it has none.
    .addColumn('token_sha256', 'bytea')
    .addColumn('token_created_dt', sql`timestamptz(3)`)
    .addColumn('token_created_by', 'text')
    // When it last told its attributes; null: it is to be asked for them.
    .addColumn('config_data_dt', sql`timestamptz(3)`)
    .addPrimaryKeyConstraint('iot_devices_pkey', ['device_id'])
    .addForeignKeyConstraint('iot_devices_device_id_fkey', ['device_id'], 'devices', ['id'])
    .addCheckConstraint('iot_devices_token_sha256_check', sql`octet_length(token_sha256) = 32`)
    .execute();

  await db.schema
    .alterTable('hardware_types')
    // The attribute in which a device that polls tells its version; null: `<name>_version`.
    .addColumn('version_attribute', 'text')
    // What proves an installation on such a device: its version, seen afterwards, or its own word that it has installed.
    .addColumn('proof', 'text', (c) => c.notNull().defaultTo('version'))
    .execute();
  await db.schema
    .alterTable('hardware_types')
    .addCheckConstraint('hardware_types_version_attribute_check', sql`char_length(version_attribute) BETWEEN 1 AND 128`)
    .execute();
  await db.schema
    .alterTable('hardware_types')
    .addCheckConstraint('hardware_types_proof_check', sql`proof IN ('version', 'feedback')`)
    .execute();

  // config_data: the device told its version; feedback: it said that it had installed it, and is believed.
  await db.schema.alterTable('device_firmwares').dropConstraint('device_firmwares_source_check').execute();
  await db.schema
    .alterTable('device_firmwares')
    .addCheckConstraint('device_firmwares_source_check', sql`source IN ('confirmation', 'observation', 'config_data', 'feedback')`)
    .execute();
}
