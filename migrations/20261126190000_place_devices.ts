// The previous release keeps working, but counts what it stores as if no device had a zone or were retired: `SELECT recount_fleet()` once
// when all of it has gone, if zones were used by then.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // Where devices stand.
  await db.schema
    .createTable('zones')
    .addColumn('name', 'text', (c) => c.notNull())
    // A name of the IANA database.
    .addColumn('time_zone', 'text', (c) => c.notNull())
    .addColumn('maximum_unavailable_percentage', 'double precision', (c) => c.notNull().defaultTo(100))
    // {from, until, days}; null: any time.
    .addColumn('maintenance_window', 'jsonb')
    .addColumn('comment', 'text', (c) => c.notNull().defaultTo(''))
    .addColumn('created_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addPrimaryKeyConstraint('zones_pkey', ['name'])
    .addCheckConstraint('zones_name_check', sql`name ~ '^[a-z0-9][a-z0-9_.-]{0,63}$' AND name <> 'none'`)
    .addCheckConstraint(
      'zones_maximum_unavailable_percentage_check',
      sql`maximum_unavailable_percentage > 0 AND maximum_unavailable_percentage <= 100`,
    )
    .execute();

  await sql`
    ALTER TABLE devices
      ADD COLUMN zone text CONSTRAINT devices_zone_fkey REFERENCES zones (name),
      ADD COLUMN tags text[] NOT NULL DEFAULT '{}' CONSTRAINT devices_tags_check CHECK (cardinality(tags) <= 20),
      -- Of its hardware, in its maker's words.
      ADD COLUMN revision text CONSTRAINT devices_revision_check CHECK (char_length(revision) BETWEEN 1 AND 64),
      -- Since when it is out of service for good.
      ADD COLUMN retired_dt timestamptz(3)`.execute(db);
  // In the order of ids, as the other indexes that pages are read from (find_devices).
  await sql`CREATE INDEX devices_zone_idx ON devices (zone, (id + 0))`.execute(db);
  await sql`CREATE INDEX devices_revision_idx ON devices (revision, (id + 0)) WHERE revision IS NOT NULL`.execute(db);
  await sql`CREATE INDEX devices_tags_idx ON devices USING gin (tags)`.execute(db);

  // Which revisions of a device's hardware a firmware fits. Null: all.
  await sql`ALTER TABLE firmwares ADD COLUMN revisions text[]`.execute(db);

  // Counts are kept by zone, '' for devices without one. The keys have the names that the previous release knows them by.
  await sql`
    ALTER TABLE device_firmware_counts
      ADD COLUMN zone text NOT NULL DEFAULT '',
      DROP CONSTRAINT device_firmware_counts_pkey,
      ADD CONSTRAINT device_firmware_counts_pkey PRIMARY KEY (hardware_type, reported_version, shard, zone)`.execute(db);
  await sql`
    ALTER TABLE device_seen_counts
      ADD COLUMN zone text NOT NULL DEFAULT '',
      DROP CONSTRAINT device_seen_counts_pkey,
      ADD CONSTRAINT device_seen_counts_pkey PRIMARY KEY (kind, seen_on, shard, zone)`.execute(db);
  await sql`CREATE INDEX device_seen_counts_zone_idx ON device_seen_counts (zone, kind)`.execute(db);
  await sql`
    CREATE OR REPLACE FUNCTION recount_fleet() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      LOCK TABLE devices IN SHARE MODE;
      LOCK TABLE device_firmwares IN SHARE MODE;

      DELETE FROM device_firmware_counts;
      INSERT INTO device_firmware_counts (hardware_type, reported_version, zone, shard, device_count)
      SELECT r.hardware_type, r.reported_version, coalesce(d.zone, ''), 0, count(*)
      FROM device_firmwares r JOIN devices d ON d.id = r.device_id
      WHERE d.retired_dt IS NULL
      GROUP BY 1, 2, 3;

      DELETE FROM device_seen_counts;
      INSERT INTO device_seen_counts (kind, seen_on, zone, shard, device_count)
      SELECT kind, last_seen_on, coalesce(zone, ''), 0, count(*) FROM devices WHERE retired_dt IS NULL GROUP BY 1, 2, 3;

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
}
