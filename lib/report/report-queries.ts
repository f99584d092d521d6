import { type RawBuilder, sql } from 'kysely';
import { partsOfFirmware, partTypesOf } from '../assembly/part-queries.ts';
import type { Trx } from '../db/database.ts';
import { catalogueLocksShared } from '../firmware/hardware-type-queries.ts';
import { isAnyToWake, noteChangedVersions } from '../fleet/candidate-queries.ts';
import { countSeen, countUpdateTimes, countVersions, isDayBegun } from '../fleet/count-queries.ts';
import type { DeviceKind, ReportSource } from '../fleet/device.ts';
import { wereRefused } from '../update/outage-queries.ts';
import type { KnownVersion } from './report.ts';

export interface ReportSubject {
  kind: DeviceKind;
  external_id: string;
  hardware_type: string;
  /** null: the report names none. */
  version: string | null;
  occurred_dt: Date;
}

/**
 * Locks the devices of reports until the transaction ends, so that reports about one device wait for each other. Devices are locked by kind and
 * external_id, as a registration locks them, so that neither two batches about the same devices nor a registration can wait for each other in a circle.
 * The catalogue is locked before that: no firmware that is reported here, itself or as part of a package, becomes available meanwhile.
 * `bool_and` takes these locks before any device is read.
 */
export const lockDevices = (subjects: readonly ReportSubject[]) => {
  const hardwareTypes = subjects.map((s) => s.hardware_type);
  return sql`
    WITH catalogue AS MATERIALIZED (
      ${catalogueLocksShared(
        hardwareTypes,
        partTypesOf(
          hardwareTypes,
          subjects.map((s) => s.version),
        ),
      )}
    )
    SELECT id FROM devices
    WHERE (SELECT bool_and(is_locked) FROM catalogue)
      AND (kind, external_id) IN (
        SELECT * FROM unnest(${subjects.map((s) => s.kind)}::text[], ${subjects.map((s) => s.external_id)}::text[])
      )
    ORDER BY kind, external_id
    FOR NO KEY UPDATE OF devices`;
};

export interface ReportFacts {
  device_id: number | null;
  /** When the device was registered. */
  registered_dt: Date | null;
  hardware_type_exists: boolean;
  /** The firmware of the reported version, if it is in the catalogue. */
  firmware_id: number | null;
  known: KnownVersion | undefined;
  /** Whether another report of its hardware type was stored on this day. */
  is_day_begun: boolean;
  /** When a report with exactly the same version and time was stored, by the history; null: never, or it does not matter. */
  told_dt: Date | null;
  /** The parts of the reported version, if it is a package. */
  parts: PartFacts[];
}

export interface PartFacts {
  hardware_type: string;
  version: string;
  firmware_id: number;
  known: KnownVersion | undefined;
  is_day_begun: boolean;
}

export interface FactsRow {
  ordinal: number;
  part_hardware_type: string | null;
  part_version: string;
  part_firmware_id: number;
  device_id: number | null;
  registered_dt: Date | null;
  hardware_type_exists: boolean;
  told_dt: Date | null;
  firmware_id: number | null;
  is_day_begun: boolean;
  /** Whether there is an open update that nobody carries on: if the device comes to match it, it has to be woken. */
  is_any_to_wake: boolean;
  known_firmware_id: number | null;
  reported_version: string | null;
  firmware_update_dt: Date;
  firmware_update_time: number | null;
  observed_dt: Date;
  occurred_dt: Date | null;
  source: ReportSource;
  /** Whether reports were refused before for want of the identity provider's keys. The same in all rows. */
  were_refused: boolean;
}

/** What is known about the subject of each report, and of its parts, in the reports' order: rows for {@link toReportFacts}. */
export const selectReportFacts = (subjects: readonly ReportSubject[], now: Date) => sql<FactsRow>`
    SELECT s.ordinal, part.hardware_type AS part_hardware_type, part.version AS part_version, part.id AS part_firmware_id,
           d.id AS device_id, d.created_dt AS registered_dt, h.name IS NOT NULL AS hardware_type_exists, f.id AS firmware_id,
           r.firmware_id AS known_firmware_id, r.reported_version, r.firmware_update_dt, r.firmware_update_time, r.observed_dt, r.occurred_dt,
           r.source, ${isDayBegun(sql`coalesce(part.hardware_type, s.hardware_type)`, now)} AS is_day_begun,
           ${isAnyToWake(now)} AS is_any_to_wake,
           -- Read only if a report names another version than is known and an earlier time: then it is new if the device's clock is wrong.
           CASE WHEN part.id IS NULL AND r.reported_version <> s.version AND r.observed_dt > s.occurred_dt THEN (
             SELECT max(x.observed_dt) FROM device_firmware_history x
             WHERE x.device_id = d.id AND x.hardware_type = s.hardware_type AND x.reported_version = s.version AND x.occurred_dt = s.occurred_dt
           ) END AS told_dt, ${wereRefused(now)} AS were_refused
    FROM unnest(
      ${subjects.map((s) => s.kind)}::text[],
      ${subjects.map((s) => s.external_id)}::text[],
      ${subjects.map((s) => s.hardware_type)}::text[],
      ${subjects.map((s) => s.version)}::text[],
      ${subjects.map((s) => s.occurred_dt)}::timestamptz[]
    ) WITH ORDINALITY AS s (kind, external_id, hardware_type, version, occurred_dt, ordinal)
    LEFT JOIN devices d ON d.kind = s.kind AND d.external_id = s.external_id
    LEFT JOIN hardware_types h ON h.name = s.hardware_type
    LEFT JOIN firmwares f ON f.hardware_type = s.hardware_type AND f.version = s.version AND f.status IN ('available', 'lost', 'withdrawn')
    -- One row for the subject itself, and one for each part of a package.
    CROSS JOIN LATERAL (
      SELECT NULL::integer AS firmware_id, -1 AS position
      UNION ALL
      ${partsOfFirmware}
    ) told
    LEFT JOIN firmwares part ON part.id = told.firmware_id
    LEFT JOIN device_firmwares r ON r.device_id = d.id AND r.hardware_type = coalesce(part.hardware_type, s.hardware_type)
    ORDER BY s.ordinal, told.position`;

export const toReportFacts = (rows: readonly FactsRow[]): ReportFacts[] => {
  const facts: ReportFacts[] = [];
  for (const { ordinal, part_hardware_type, part_version, part_firmware_id, ...row } of rows) {
    const { device_id, registered_dt, hardware_type_exists, firmware_id, is_day_begun, is_any_to_wake: _, told_dt, ...stored } = row;
    const told = { known: toKnown(stored), is_day_begun };
    const subject = { device_id, registered_dt, hardware_type_exists, firmware_id, told_dt };
    if (part_hardware_type === null) facts.push({ ...subject, ...told, parts: [] });
    else
      facts[ordinal - 1]?.parts.push({ hardware_type: part_hardware_type, version: part_version, firmware_id: part_firmware_id, ...told });
  }
  return facts;
};

const toKnown = ({
  known_firmware_id: firmware_id,
  reported_version,
  ...known
}: Omit<FactsRow, 'ordinal' | 'is_any_to_wake' | `part_${string}` | keyof ReportFacts>): KnownVersion | undefined => {
  if (reported_version === null) return undefined;
  const { firmware_update_dt, firmware_update_time, observed_dt, occurred_dt, source } = known;
  return { firmware_id, reported_version, firmware_update_dt, firmware_update_time, observed_dt, occurred_dt, source };
};

export interface KnownRow extends KnownVersion {
  device_id: number;
  hardware_type: string;
}

/**
 * Stores what each device runs now and when it was last seen, appends the changes to the history and counts them, in one statement. If nothing
 * is new: no statement.
 */
export const storeReports = (
  current: readonly KnownRow[],
  changes: readonly KnownRow[],
  /** The observation that found the changes; null: they come from another source. */
  observation_id: number | null,
): RawBuilder<unknown>[] => {
  if (current.length === 0) return [];
  const statement = sql`
    WITH reported AS (
      SELECT * FROM ${unnestKnown(current)}
    ), changed AS (
      SELECT * FROM ${unnestKnown(changes)}
    ), history AS (
      INSERT INTO device_firmware_history
        (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, firmware_update_time, observed_dt, occurred_dt, source,
         observation_id)
      SELECT *, ${observation_id}::integer FROM changed
    ), noted AS (
      ${noteChangedVersions}
    ), version_counts AS (
      ${countVersions}
    ), update_time_counts AS (
      ${countUpdateTimes}
    ), seen AS (
      UPDATE devices d SET last_seen_dt = r.observed_dt
      FROM (SELECT device_id, max(observed_dt) AS observed_dt FROM reported GROUP BY device_id) r
      WHERE d.id = r.device_id AND (d.last_seen_dt IS NULL OR d.last_seen_dt < r.observed_dt)
      RETURNING d.id, d.kind, d.last_seen_on
    ), seen_counts AS (
      ${countSeen}
    )
    INSERT INTO device_firmwares
      (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, firmware_update_time, observed_dt, occurred_dt, source)
    SELECT * FROM reported
    ON CONFLICT ON CONSTRAINT device_firmwares_pkey DO UPDATE SET
      firmware_id = excluded.firmware_id,
      reported_version = excluded.reported_version,
      firmware_update_dt = excluded.firmware_update_dt,
      firmware_update_time = excluded.firmware_update_time,
      observed_dt = excluded.observed_dt,
      occurred_dt = excluded.occurred_dt,
      source = excluded.source`;
  return [statement];
};

export interface LinkedFirmware {
  id: number;
  hardware_type: string;
  version: string;
}

/**
 * Links devices that run a version to its firmware, if this came into the catalogue later than their reports, and answers how many: at most
 * `limit`, so that reports do not wait long. Notes them for open updates, which know only now what these devices run. Only while the catalogue is locked, so that no report writes the same rows in another order.
 */
export const linkDevices = async (trx: Trx, { id, hardware_type, version }: LinkedFirmware, limit: number): Promise<number> => {
  const { rows } = await sql<{ n: number }>`
    WITH changed AS (
      UPDATE device_firmwares r SET firmware_id = ${id}
      FROM (
        SELECT device_id FROM device_firmwares
        WHERE hardware_type = ${hardware_type} AND reported_version = ${version} AND firmware_id IS NULL
        LIMIT ${limit}
      ) unknown
      WHERE r.device_id = unknown.device_id AND r.hardware_type = ${hardware_type}
      RETURNING r.device_id, r.hardware_type, r.firmware_id
    ), noted AS (
      ${noteChangedVersions}
    )
    SELECT count(*) AS n FROM changed`.execute(trx);
  return rows[0]?.n ?? 0;
};

const unnestKnown = (rows: readonly KnownRow[]) => sql`
  unnest(
    ${rows.map((r) => r.device_id)}::integer[],
    ${rows.map((r) => r.hardware_type)}::text[],
    ${rows.map((r) => r.firmware_id)}::integer[],
    ${rows.map((r) => r.reported_version)}::text[],
    ${rows.map((r) => r.firmware_update_dt)}::timestamptz[],
    ${rows.map((r) => r.firmware_update_time)}::double precision[],
    ${rows.map((r) => r.observed_dt)}::timestamptz[],
    ${rows.map((r) => r.occurred_dt)}::timestamptz[],
    ${rows.map((r) => r.source)}::text[]
  ) AS known
    (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, firmware_update_time, observed_dt, occurred_dt, source)`;
