// The previous release keeps working: every column has a default or may be null.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('assemblies')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('hardware_compatibility', sql`text[]`, (c) => c.notNull())
    .addColumn('signed', 'boolean', (c) => c.notNull())
    .addColumn('idempotency_key', 'text')
    .addColumn('request_hash', 'text', (c) => c.notNull())
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('created_by', 'text', (c) => c.notNull())
    .addColumn('created_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addColumn('attempts', 'integer', (c) => c.notNull().defaultTo(0))
    // While it is younger than the lease, the work belongs to the call that began then; null: nobody is at it.
    .addColumn('claimed_dt', sql`timestamptz(3)`)
    .addColumn('last_error', 'text')
    .addColumn('last_error_dt', sql`timestamptz(3)`)
    // When the package was written to S3.
    .addColumn('published_dt', sql`timestamptz(3)`)
    .addPrimaryKeyConstraint('assemblies_pkey', ['id'])
    .addUniqueConstraint('assemblies_created_by_idempotency_key_key', ['created_by', 'idempotency_key'])
    .execute();

  await db.schema
    .createTable('assembly_parts')
    .addColumn('assembly_id', 'integer', (c) => c.notNull())
    .addColumn('position', 'smallint', (c) => c.notNull())
    .addColumn('firmware_id', 'integer', (c) => c.notNull())
    // As in sw-description: what SWUpdate does with the part, and where it goes.
    .addColumn('handler', 'text', (c) => c.notNull())
    .addColumn('path', 'text')
    .addColumn('device', 'text')
    .addPrimaryKeyConstraint('assembly_parts_pkey', ['assembly_id', 'position'])
    .addForeignKeyConstraint('assembly_parts_assembly_id_fkey', ['assembly_id'], 'assemblies', ['id'])
    .addForeignKeyConstraint('assembly_parts_firmware_id_fkey', ['firmware_id'], 'firmwares', ['id'])
    .addCheckConstraint('assembly_parts_handler_check', sql`handler IN ('rawfile', 'archive', 'raw')`)
    .addCheckConstraint(
      'assembly_parts_target_check',
      sql`(handler = 'raw') = (device IS NOT NULL) AND (handler <> 'raw') = (path IS NOT NULL)`,
    )
    .execute();

  // The assembly that a firmware is the package of. Null: it was uploaded.
  await db.schema.alterTable('firmwares').addColumn('assembly_id', 'integer').execute();
  await db.schema
    .alterTable('firmwares')
    .addForeignKeyConstraint('firmwares_assembly_id_fkey', ['assembly_id'], 'assemblies', ['id'])
    .execute();
  await db.schema.alterTable('firmwares').addUniqueConstraint('firmwares_assembly_id_key', ['assembly_id']).execute();

  // package: the device reported a package, which had this part.
  await db.schema.alterTable('device_firmwares').dropConstraint('device_firmwares_source_check').execute();
  await db.schema
    .alterTable('device_firmwares')
    .addCheckConstraint(
      'device_firmwares_source_check',
      sql`source IN ('confirmation', 'observation', 'config_data', 'feedback', 'package')`,
    )
    .execute();
}
