import { type RawBuilder, sql } from 'kysely';
import type { Trx } from '../db/database.ts';

/**
 * Parts of statements: the statements that store reports and devices also keep the counts that GET /v1/stats adds up. Rows are written in the
 * order of the key, so that two statements cannot wait for each other in a circle. `recount_fleet()` counts everything anew.
 *
 * Retired devices are in no count. Devices without a zone are counted under the zone ''.
 */
const shardsOfReports = { first: 0, count: 64 } as const;
/** Shards that no report uses. */
const shardsOfOthers = { first: 100, count: 64 } as const;

/**
 * The devices of a large update all move from one version to another. So these counts are spread over several rows, and each transaction takes
 * a row that no other uses at this moment: reports that come one by one, 500 a second, do not wait for each other's commit. There are only as
 * many rows as transactions have counted at once; a transaction that finds none free shares one.
 */
const freeShard = ({ first, count }: { first: number; count: number }) => sql`
  coalesce(
    (
      SELECT free FROM generate_series(${sql.lit(first)}, ${sql.lit(first + count - 1)}) AS free
      WHERE pg_try_advisory_xact_lock('device_seen_counts'::regclass::oid::integer, free)
      LIMIT 1
    ),
    ${sql.lit(first)} + pg_backend_pid() % ${sql.lit(count)}
  )`;

const shard = freeShard(shardsOfReports);

/**
 * Moves devices from their stored version to the one in `reported (device_id, hardware_type, reported_version)`. It reads the rows as they were
 * before the statement, so it has to be part of the statement that stores the reports, and the devices have to be locked.
 */
export const countVersions: RawBuilder<unknown> = sql`
  INSERT INTO device_firmware_counts AS counts (hardware_type, reported_version, zone, shard, device_count)
  SELECT hardware_type, reported_version, coalesce(d.zone, ''), ${shard}, sum(change)
  FROM (
    SELECT device_id, hardware_type, reported_version, 1 AS change FROM reported
    UNION ALL
    SELECT device_id, hardware_type, stored.reported_version, -1
    FROM reported JOIN device_firmwares stored USING (device_id, hardware_type)
  ) changes
  JOIN devices d ON d.id = changes.device_id AND d.retired_dt IS NULL
  GROUP BY hardware_type, reported_version, coalesce(d.zone, '')
  HAVING sum(change) <> 0
  ORDER BY hardware_type, reported_version, coalesce(d.zone, '')
  ON CONFLICT ON CONSTRAINT device_firmware_counts_pkey DO UPDATE SET device_count = counts.device_count + excluded.device_count`;

const dayOf = (now: Date) => sql`(${now}::timestamptz AT TIME ZONE 'UTC')::date`;

/** Whether the (UTC) day of a hardware type has begun: {@link beginDays}. */
export const isDayBegun = (hardware_type: RawBuilder<unknown>, now: Date): RawBuilder<boolean> => sql<boolean>`
  EXISTS (SELECT FROM device_firmware_days begun WHERE begun.hardware_type = ${hardware_type} AND begun.day = ${dayOf(now)})`;

/**
 * Begins the (UTC) day of hardware types: stores how many devices run each version before the day's first report is stored. Call it before the
 * statement that stores the report, in the same transaction. It never waits: if another transaction is doing the same, it does nothing.
 */
export const beginDays = async (trx: Trx, hardwareTypes: readonly string[], now: Date): Promise<void> => {
  if (hardwareTypes.length === 0) return;
  await sql`
    WITH not_begun AS MATERIALIZED (
      SELECT name FROM unnest(${hardwareTypes}::text[]) AS types (name)
      WHERE pg_try_advisory_xact_lock('device_firmware_days'::regclass::oid::integer, hashtext(name))
    )
    INSERT INTO device_firmware_days (hardware_type, day, device_count, versions)
    SELECT name, ${dayOf(now)}, counted.device_count, counted.versions
    FROM not_begun CROSS JOIN LATERAL count_versions_of(name) counted
    ON CONFLICT DO NOTHING`.execute(trx);
};

/**
 * Adds the installations among `changed (device_id, hardware_type, firmware_id, firmware_update_time)` to the histograms of their
 * firmware and of all firmwares of the hardware type.
 */
export const countUpdateTimes: RawBuilder<unknown> = sql`
  INSERT INTO firmware_update_time_counts AS counts
    (hardware_type, firmware_id, scooter_version, bucket, shard, installations, sum_seconds, max_seconds)
  SELECT hardware_type, coalesce(firmware_id, 0), scooter_version, bucket, ${shard},
         count(*), sum(firmware_update_time), max(firmware_update_time)
  FROM (
    SELECT c.hardware_type, c.firmware_id, coalesce(d.version, 0) AS scooter_version,
           firmware_update_time_bucket(c.firmware_update_time) AS bucket, c.firmware_update_time
    FROM changed c JOIN devices d ON d.id = c.device_id
    WHERE c.firmware_update_time IS NOT NULL AND c.firmware_id IS NOT NULL
  ) installed
  GROUP BY GROUPING SETS ((hardware_type, scooter_version, bucket, firmware_id), (hardware_type, scooter_version, bucket))
  ORDER BY hardware_type, coalesce(firmware_id, 0), scooter_version, bucket
  ON CONFLICT ON CONSTRAINT firmware_update_time_counts_pkey DO UPDATE SET
    installations = counts.installations + excluded.installations,
    sum_seconds = counts.sum_seconds + excluded.sum_seconds,
    max_seconds = greatest(counts.max_seconds, excluded.max_seconds)`;

/** Moves the devices of `seen (id, kind, last_seen_on)` from the day on which they were last seen before, or from never, to this one. */
export const countSeen: RawBuilder<unknown> = sql`
  INSERT INTO device_seen_counts AS counts (kind, seen_on, zone, shard, device_count)
  SELECT kind, seen_on, zone, ${shard}, sum(change)
  FROM (
    SELECT before.kind, days.seen_on, coalesce(before.zone, '') AS zone, days.change
    FROM seen
    JOIN devices before ON before.id = seen.id AND before.retired_dt IS NULL
    CROSS JOIN LATERAL (VALUES (seen.last_seen_on, 1), (before.last_seen_on, -1)) AS days (seen_on, change)
  ) changes
  GROUP BY kind, seen_on, zone
  HAVING sum(change) <> 0
  ORDER BY kind, seen_on, zone
  ON CONFLICT ON CONSTRAINT device_seen_counts_pkey DO UPDATE SET device_count = counts.device_count + excluded.device_count`;

/** For transactions that add or move devices: they may also store reports, and must not hold a shard of reports while they wait for a device. */
const shardOfOneself = freeShard(shardsOfOthers);

/** Adds the devices of `added (kind, zone)` to those that were never seen. */
export const countNewDevices: RawBuilder<unknown> = sql`
  INSERT INTO device_seen_counts AS counts (kind, seen_on, zone, shard, device_count)
  SELECT kind, '-infinity', coalesce(zone, ''), ${shardOfOneself}, count(*)
  FROM added
  GROUP BY kind, coalesce(zone, '')
  ORDER BY kind, coalesce(zone, '')
  ON CONFLICT ON CONSTRAINT device_seen_counts_pkey DO UPDATE SET device_count = counts.device_count + excluded.device_count`;

/**
 * Moves the counts of versions when devices change their zone: each row of `moves (device_id, kind, last_seen_on, zone, change)` takes a device
 * out of a zone (-1) or puts it into one (1). The devices have to be locked by an earlier statement.
 */
export const countMovedVersions: RawBuilder<unknown> = sql`
  INSERT INTO device_firmware_counts AS counts (hardware_type, reported_version, zone, shard, device_count)
  SELECT r.hardware_type, r.reported_version, zone, ${shardOfOneself}, sum(change)
  FROM moves JOIN device_firmwares r USING (device_id)
  GROUP BY r.hardware_type, r.reported_version, zone
  ORDER BY r.hardware_type, r.reported_version, zone
  ON CONFLICT ON CONSTRAINT device_firmware_counts_pkey DO UPDATE SET device_count = counts.device_count + excluded.device_count`;

/** The same for the counts of the days on which devices were last seen. */
export const countMovedDevices: RawBuilder<unknown> = sql`
  INSERT INTO device_seen_counts AS counts (kind, seen_on, zone, shard, device_count)
  SELECT kind, last_seen_on, zone, ${shardOfOneself}, sum(change)
  FROM moves
  GROUP BY kind, last_seen_on, zone
  ORDER BY kind, last_seen_on, zone
  ON CONFLICT ON CONSTRAINT device_seen_counts_pkey DO UPDATE SET device_count = counts.device_count + excluded.device_count`;

/** How many devices run the row of `firmwares`: none while it is not available. */
export const deviceCountOfFirmware: RawBuilder<number> = sql<number>`(
  SELECT coalesce(sum(c.device_count), 0)
  FROM device_firmware_counts c
  WHERE c.hardware_type = firmwares.hardware_type AND c.reported_version = firmwares.version AND firmwares.version_num IS NOT NULL
)`;
