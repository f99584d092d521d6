// The previous release keeps working but counts nothing of what it stores: `SELECT recount_fleet()` once when all of it has gone.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // What GET /v1/stats adds up instead of looking at every device. Where many devices change the same count at once it is spread over
  // several rows (shards), so that writers do not queue up on one; a shard may be below zero, the sum over shards is right.
  // Half-full pages, because rows change again and again.
  const fillfactor = sql`WITH (fillfactor = 50)`;

  await db.schema
    .createTable('device_firmware_counts')
    .addColumn('hardware_type', 'text', (c) => c.notNull())
    .addColumn('reported_version', 'text', (c) => c.notNull())
    .addColumn('shard', 'smallint', (c) => c.notNull())
    .addColumn('device_count', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('device_firmware_counts_pkey', ['hardware_type', 'reported_version', 'shard'])
    .addForeignKeyConstraint('device_firmware_counts_hardware_type_fkey', ['hardware_type'], 'hardware_types', ['name'])
    .modifyEnd(fillfactor)
    .execute();

  // Devices by the day on which they were last seen.
  await db.schema
    .createTable('device_seen_counts')
    .addColumn('kind', 'text', (c) => c.notNull())
    // -infinity: never.
    .addColumn('seen_on', 'date', (c) => c.notNull())
    .addColumn('shard', 'smallint', (c) => c.notNull())
    .addColumn('device_count', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('device_seen_counts_pkey', ['kind', 'seen_on', 'shard'])
    .modifyEnd(fillfactor)
    .execute();

  // A histogram of firmware_update_time over the rows of device_firmware_history that have one.
  await db.schema
    .createTable('firmware_update_time_counts')
    .addColumn('hardware_type', 'text', (c) => c.notNull())
    // 0: all firmwares of the hardware type together.
    .addColumn('firmware_id', 'integer', (c) => c.notNull())
    // 0: a device without one.
    .addColumn('scooter_version', 'smallint', (c) => c.notNull())
    .addColumn('bucket', 'smallint', (c) => c.notNull())
    .addColumn('installations', 'integer', (c) => c.notNull())
    .addColumn('sum_seconds', 'double precision', (c) => c.notNull())
    .addColumn('max_seconds', 'double precision', (c) => c.notNull())
    .addPrimaryKeyConstraint('firmware_update_time_counts_pkey', ['hardware_type', 'firmware_id', 'scooter_version', 'bucket'])
    .addForeignKeyConstraint('firmware_update_time_counts_hardware_type_fkey', ['hardware_type'], 'hardware_types', ['name'])
    .modifyEnd(fillfactor)
    .execute();

  // Each bucket ends 5 % above its beginning; all that is shorter than 0.1 s is in the first.
  await sql`
    CREATE FUNCTION firmware_update_time_bucket(seconds double precision) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN floor(ln(greatest(seconds, 0.1::double precision)) / ln(1.05::double precision))::smallint`.execute(db);

  // Counts everything anew: after a restore, or when rows were changed by hand. Reports wait while it runs, half a minute for a million
  // devices. The locks are taken in the order in which reports take them.
  await sql`
    CREATE FUNCTION recount_fleet() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      LOCK TABLE devices IN SHARE MODE;
      LOCK TABLE device_firmwares IN SHARE MODE;

      DELETE FROM device_firmware_counts;
      INSERT INTO device_firmware_counts (hardware_type, reported_version, shard, device_count)
      SELECT hardware_type, reported_version, 0, count(*) FROM device_firmwares GROUP BY hardware_type, reported_version;

      DELETE FROM device_seen_counts;
      INSERT INTO device_seen_counts (kind, seen_on, shard, device_count)
      SELECT kind, last_seen_on, 0, count(*) FROM devices GROUP BY kind, last_seen_on;

      DELETE FROM firmware_update_time_counts;
      INSERT INTO firmware_update_time_counts
        (hardware_type, firmware_id, scooter_version, bucket, installations, sum_seconds, max_seconds)
      SELECT h.hardware_type, h.firmware_id, coalesce(d.version, 0), firmware_update_time_bucket(h.firmware_update_time),
             count(*), sum(h.firmware_update_time), max(h.firmware_update_time)
      FROM device_firmware_history h
      JOIN devices d ON d.id = h.device_id
      WHERE h.firmware_update_time IS NOT NULL AND h.firmware_id IS NOT NULL
      GROUP BY 1, 2, 3, 4;
      INSERT INTO firmware_update_time_counts
      SELECT hardware_type, 0, scooter_version, bucket, sum(installations), sum(sum_seconds), max(max_seconds)
      FROM firmware_update_time_counts
      GROUP BY hardware_type, scooter_version, bucket;
    END
    $$`.execute(db);
  await sql`SELECT recount_fleet()`.execute(db);
}
