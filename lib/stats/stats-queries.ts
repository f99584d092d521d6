import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { FirmwareStatus } from '../firmware/firmware.ts';
import type { DeviceKind } from '../fleet/device.ts';
import { type BackendGate, type GateInJson, gateOfJson } from '../update/backend-gate.ts';
import type { ExecutionStatus } from '../update/execution.ts';
import { isLateAt } from '../update/late-updates.ts';
import type { UpdateStatus } from '../update/update-status.ts';
import type { Histogram } from './histogram.ts';
import { maximumTimedFirmwares, maximumVersions, maximumZoneVersions, type ZoneStats } from './stats.ts';

// One round trip over the tables of several subjects. It does not read every device, but adds up the counts that lib/fleet/count-queries.ts keeps.

export interface CountedVersion {
  version: string;
  firmware_id: number | null;
  version_num: number | null;
  status: FirmwareStatus | null;
  devices: number;
}

export interface CountedHardwareType {
  hardware_type: string;
  device_kind: DeviceKind;
  newest: { firmware_id: number; version: string; version_num: number } | null;
  devices: number;
  versions: number;
  on_newest: number;
  on_unknown: number;
  unknown_versions: number;
  /** At most {@link maximumVersions}, those with most devices. */
  most_run: CountedVersion[];
}

export interface CountedUpdateTimes {
  hardware_type: string;
  /** null: all firmwares of the hardware type. */
  firmware: { firmware_id: number; version: string; version_num: number } | null;
  /** By scooter version, 0: none. */
  histograms: (Histogram & { scooter_version: 0 | 1 | 2 })[];
}

export interface CountedFleet {
  devices: { kind: DeviceKind; devices: number; not_seen: number; never_seen: number }[];
  hardware_types: CountedHardwareType[];
  /** Firmwares of one hardware type come the newest first. */
  update_times: CountedUpdateTimes[];
  zones: ZoneStats[];
  updates: Partial<Record<UpdateStatus, number>>;
  /** Of updates that have not ended, to their last device. */
  executions: Partial<Record<ExecutionStatus, number>>;
  late_updates: number;
  gate: BackendGate;
  tables: { table: string; rows: number | null }[];
  sequences: { sequence: string; last_value: number; left: number }[];
}

const newestFirmware = sql`
  SELECT id AS firmware_id, version, version_num
  FROM firmwares
  WHERE hardware_type = h.name AND status = 'available'
  ORDER BY version_num DESC
  LIMIT 1`;

const hardwareTypes = sql`
  WITH counted AS (
    SELECT hardware_type, reported_version AS version, sum(device_count) AS devices
    FROM device_firmware_counts
    GROUP BY hardware_type, reported_version
    HAVING sum(device_count) > 0
  )
  SELECT h.name AS hardware_type, h.device_kind, to_jsonb(newest) AS newest, v.*
  FROM hardware_types h
  LEFT JOIN LATERAL (${newestFirmware}) newest ON true
  CROSS JOIN LATERAL (
    SELECT coalesce(sum(devices), 0) AS devices,
           count(*) AS versions,
           coalesce(sum(devices) FILTER (WHERE version_num >= coalesce(newest.version_num, 0)), 0) AS on_newest,
           coalesce(sum(devices) FILTER (WHERE firmware_id IS NULL), 0) AS on_unknown,
           count(*) FILTER (WHERE firmware_id IS NULL) AS unknown_versions,
           coalesce(
             jsonb_agg(
               jsonb_build_object(
                 'version', version, 'firmware_id', firmware_id, 'version_num', version_num, 'status', status, 'devices', devices
               ) ORDER BY rank
             ) FILTER (WHERE rank <= ${maximumVersions}),
             '[]'
           ) AS most_run
    FROM (
      SELECT c.version, c.devices, f.id AS firmware_id, f.version_num, f.status,
             row_number() OVER (ORDER BY c.devices DESC, c.version) AS rank
      FROM counted c
      LEFT JOIN firmwares f ON f.hardware_type = c.hardware_type AND f.version = c.version AND f.status IN ('available', 'lost', 'withdrawn')
      WHERE c.hardware_type = h.name
    ) ranked
  ) v
  ORDER BY h.name`;

const updateTimes = sql`
  SELECT h.name AS hardware_type, f.firmware, t.histograms
  FROM hardware_types h
  CROSS JOIN LATERAL (
    SELECT 0 AS id, NULL::jsonb AS firmware, NULL::integer AS version_num
    UNION ALL
    (
      SELECT id, jsonb_build_object('firmware_id', id, 'version', version, 'version_num', version_num), version_num
      FROM firmwares
      WHERE hardware_type = h.name AND version_num IS NOT NULL AND EXISTS (
        SELECT FROM firmware_update_time_counts c WHERE c.hardware_type = h.name AND c.firmware_id = firmwares.id
      )
      ORDER BY version_num DESC
      LIMIT ${maximumTimedFirmwares}
    )
  ) f
  CROSS JOIN LATERAL (
    SELECT jsonb_agg(to_jsonb(v) ORDER BY scooter_version) AS histograms
    FROM (
      SELECT scooter_version, sum(sum_seconds) AS sum_seconds, max(max_seconds) AS max_seconds,
             array_agg(bucket) AS buckets, array_agg(installations) AS counts
      FROM firmware_update_time_counts c
      WHERE c.hardware_type = h.name AND c.firmware_id = f.id
      GROUP BY scooter_version
    ) v
  ) t
  WHERE t.histograms IS NOT NULL
  ORDER BY h.name, f.version_num DESC`;

const devices = (seenSince: Date) => sql`
  SELECT kind, sum(device_count) AS devices,
         coalesce(sum(device_count) FILTER (WHERE seen_on < ${seenSince.toISOString().slice(0, 10)}::date), 0) AS not_seen,
         coalesce(sum(device_count) FILTER (WHERE seen_on = '-infinity'), 0) AS never_seen
  FROM device_seen_counts
  GROUP BY kind`;

const zones = (seenSince: Date) => sql`
  SELECT nullif(d.zone, '') AS zone, d.devices, coalesce(v.hardware_types, '[]') AS hardware_types
  FROM (
    SELECT zone, jsonb_agg(jsonb_build_object('kind', kind, 'devices', devices, 'not_seen', not_seen) ORDER BY kind DESC) AS devices
    FROM (
      SELECT zone, kind, sum(device_count) AS devices,
             coalesce(sum(device_count) FILTER (WHERE seen_on < ${seenSince.toISOString().slice(0, 10)}::date), 0) AS not_seen
      FROM device_seen_counts
      GROUP BY zone, kind
      HAVING sum(device_count) > 0
    ) kinds
    GROUP BY zone
  ) d
  LEFT JOIN (
    SELECT zone, jsonb_agg(to_jsonb(t) - 'zone' ORDER BY hardware_type) AS hardware_types
    FROM (
      SELECT zone, hardware_type, sum(devices) AS devices,
             jsonb_agg(jsonb_build_object('version', version, 'devices', devices) ORDER BY rank)
               FILTER (WHERE rank <= ${maximumZoneVersions}) AS versions,
             jsonb_build_object(
               'devices', coalesce(sum(devices) FILTER (WHERE rank > ${maximumZoneVersions}), 0),
               'versions', count(*) FILTER (WHERE rank > ${maximumZoneVersions})
             ) AS other_versions
      FROM (
        SELECT zone, hardware_type, reported_version AS version, sum(device_count) AS devices,
               row_number() OVER (PARTITION BY zone, hardware_type ORDER BY sum(device_count) DESC, reported_version) AS rank
        FROM device_firmware_counts
        GROUP BY zone, hardware_type, reported_version
        HAVING sum(device_count) > 0
      ) ranked
      GROUP BY zone, hardware_type
    ) t
    GROUP BY zone
  ) v USING (zone)
  ORDER BY nullif(d.zone, '') NULLS LAST`;

const tables = sql`
  SELECT relname AS table, nullif(reltuples, -1)::bigint AS rows
  FROM pg_class
  WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace AND relname NOT LIKE 'kysely\\_%'
  ORDER BY relname`;

/** Sequences, from which ids come. When one has given out its last value, no row can be inserted any more. */
const sequences = sql`
  SELECT sequencename AS sequence, coalesce(last_value, 0) AS last_value,
         round(1 - coalesce(last_value, 0)::numeric / max_value, 4) AS left
  FROM pg_sequences
  WHERE schemaname = current_schema()
  ORDER BY 3, 1`;

/** Counts executions of unfinished updates only, by their index: with all updates the count would take longer and longer. */
const executions = sql`
  SELECT e.status, count(*) AS n
  FROM updates u
  JOIN update_executions e ON e.update_id = u.id
  WHERE u.finished_dt IS NULL
  GROUP BY e.status`;

const listOf = (query: RawBuilder<unknown>) => sql`(SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM (${query}) q)`;

/** All counts, in one statement. Devices last seen before the (UTC) day of `seenSince` count as not seen. */
export const countFleet = async (db: Db, seenSince: Date, now: Date): Promise<CountedFleet> => {
  const { rows } = await sql<Omit<CountedFleet, 'gate'> & { gate: GateInJson }>`
    SELECT ${listOf(devices(seenSince))} AS devices,
           ${listOf(hardwareTypes)} AS hardware_types,
           ${listOf(updateTimes)} AS update_times,
           ${listOf(zones(seenSince))} AS zones,
           (SELECT coalesce(jsonb_object_agg(status, n), '{}') FROM (SELECT status, count(*) AS n FROM updates GROUP BY status) q) AS updates,
           (SELECT coalesce(jsonb_object_agg(status, n), '{}') FROM (${executions}) q) AS executions,
           (SELECT count(*) FROM updates WHERE ${isLateAt(now)}) AS late_updates,
           (SELECT to_jsonb(g) FROM backend_gate g) AS gate,
           ${listOf(tables)} AS tables,
           ${listOf(sequences)} AS sequences`.execute(db);
  const [counted] = rows;
  if (!counted) throw new Error('Nothing was counted');
  return { ...counted, gate: gateOfJson(counted.gate) };
};
