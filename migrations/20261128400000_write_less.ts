// The previous release keeps working: it writes to the first shard, and adds up whatever rows a duration has. It finds devices by their tags
// more slowly for the minutes of a deployment.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // The devices of a large update need about the same time, so all of their confirmations changed the same two rows, one after the other, each
  // holding them until its commit. The key has the name that the previous release knows it by.
  await sql`
    ALTER TABLE firmware_update_time_counts
      ADD COLUMN shard smallint NOT NULL DEFAULT 0,
      DROP CONSTRAINT firmware_update_time_counts_pkey,
      ADD CONSTRAINT firmware_update_time_counts_pkey PRIMARY KEY (hardware_type, firmware_id, scooter_version, bucket, shard)`.execute(db);

  // Each of these was looked up once for each report, with a lock in the row of the hardware type, which all reports share. The one statement that
  // writes the history writes the same device, hardware type and firmware to `device_firmwares`, which still refers to all three.
  await sql`
    ALTER TABLE device_firmware_history
      DROP CONSTRAINT device_firmware_history_device_id_fkey,
      DROP CONSTRAINT device_firmware_history_hardware_type_fkey,
      DROP CONSTRAINT device_firmware_history_firmware_id_fkey`.execute(db);
  // An execution gets a chunk only in the statement that makes the chunk, and a chunk is deleted only when it has no execution left.
  await sql`ALTER TABLE update_executions DROP CONSTRAINT update_executions_dispatch_id_fkey`.execute(db);

  // Most devices have no tags, and the index had an entry for each of them nevertheless.
  await sql`DROP INDEX devices_tags_idx`.execute(db);
  await sql`CREATE INDEX devices_tags_idx ON devices USING gin (tags) WHERE tags <> '{}'`.execute(db);
}
