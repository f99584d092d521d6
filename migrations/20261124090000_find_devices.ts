// The previous release keeps working; while it runs, it leaves last_seen_dt as it is, and the next report of a device corrects that.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // When a device was last seen running whatever it runs; null: never. Written with nearly every report, so no index may hold it: the day
  // stands in for it, and a device that is seen again on the same day costs no index a change. Rewrites the table.
  await sql`
    ALTER TABLE devices
      ADD COLUMN last_seen_dt timestamptz(3),
      ADD COLUMN last_seen_on date NOT NULL
        GENERATED ALWAYS AS (coalesce((last_seen_dt AT TIME ZONE 'UTC')::date, '-infinity'::date)) STORED`.execute(db);
  await sql`
    UPDATE devices d SET last_seen_dt = r.observed_dt
    FROM (SELECT device_id, max(observed_dt) AS observed_dt FROM device_firmwares GROUP BY device_id) r
    WHERE r.device_id = d.id`.execute(db);

  // Each gives the ids of the devices that a condition of GET /v1/devices means in their order, so that any page begins where the last one
  // ended. `+ 0` keeps the primary keys, which have that order too, out of the planner's choice: it would take one of them and filter
  // wherever it believes that the devices meant are spread evenly, which they hardly ever are.
  await sql`CREATE INDEX devices_class_idx ON devices (kind, coalesce(version, 0), channel, (id + 0))`.execute(db);
  await sql`CREATE INDEX devices_last_seen_idx ON devices (kind, last_seen_on, (id + 0))`.execute(db);
  await sql`
    CREATE INDEX device_firmwares_firmware_idx ON device_firmwares (firmware_id, (device_id + 0))
    WHERE firmware_id IS NOT NULL`.execute(db);
  await sql`
    CREATE INDEX device_firmwares_unknown_idx ON device_firmwares (hardware_type, (device_id + 0))
    WHERE firmware_id IS NULL`.execute(db);
  // Those that a firmware is linked to when it comes into the catalogue.
  await sql`
    CREATE INDEX device_firmwares_unknown_version_idx ON device_firmwares (hardware_type, reported_version)
    WHERE firmware_id IS NULL`.execute(db);
}
