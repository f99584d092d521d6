import { type RawBuilder, sql } from 'kysely';
import type { FirmwareRequirement } from '../../firmware/firmware.ts';
import { fitsRevision, revisionMismatch } from '../../firmware/revision-queries.ts';
import { filteredDevices } from '../../fleet/device-filter-queries.ts';
import { inService } from '../../fleet/group-members.ts';
import { supersedable, unasked, unfinished } from '../predicates.ts';
import type { UnknownVersion } from '../rules.ts';
import { eligibleCases } from '../update.ts';
import type { ChosenTargets } from './chosen-targets.ts';

export interface WantedFirmware {
  id: number;
  hardware_type: string;
  /** Of a package. */
  assembly_id: number | null;
  /** null: it is not available, and nobody is eligible. */
  version_num: number | null;
  requires: readonly FirmwareRequirement[];
  minimum_from_version_num: number | null;
  /** Of hardware, that it fits; null: all. */
  revisions: readonly string[] | null;
}

export interface Choice {
  /** `device_ids`: a query of the ids of devices that were chosen before. */
  targets: ChosenTargets | { device_ids: RawBuilder<unknown> };
  firmware: WantedFirmware;
  allow_downgrade: boolean;
  /** Also updates devices that are normally left out because they have failed this firmware too often. */
  force: boolean;
  unknown_version: UnknownVersion;
  /** Whether an execution that its stopped update has not ended yet keeps its device from this update. Otherwise it has to be ended first. */
  isAbandonedInFlight?: boolean;
  /**
   * Devices that nobody has asked for updates with a lower id take part: those executions are superseded. Missing or null: an unfinished execution
   * of another update always keeps its device.
   */
  supersedesBelow?: number | null;
  /** Of a filter: only devices with these ids are looked at. Missing: all. */
  among?: IdRange;
  now: Date;
}

export interface IdRange {
  above: number;
  upTo: number;
}

/** Greater than every id: all updates count as older. */
export const supersedesAll = 2_147_483_647;

/** Whether the device is to be updated; the version that it runs now may be in the catalogue or not. */
export const isEligible = sql`eligibility IN (${sql.join(eligibleCases.map(sql.lit))})`;

/** Whether the device gets an execution: to be updated, or as one that runs the version already. */
export const takesPart = sql`(${isEligible} OR eligibility = 'ALREADY_ON_TARGET')`;

const blockedAfterFailures = 3;

export const chosenDevices = ({
  targets,
  firmware,
  among,
  now,
}: Pick<Choice, 'targets' | 'firmware' | 'among' | 'now'>): RawBuilder<unknown> => {
  if ('filter' in targets) {
    const filter = inService(targets.filter);
    const part = among && { isPart: true, among: sql`d.id > ${among.above} AND d.id <= ${among.upTo}` };
    return sql`
      SELECT external_id, id AS device_id, version, channel, zone, kind, revision, retired_dt
      FROM (${filteredDevices(filter, { now, firmware_id: firmware.id, ...part })}) filtered`;
  }
  if ('device_ids' in targets) {
    return sql`
      SELECT external_id, id AS device_id, version, channel, zone, kind, revision, retired_dt FROM devices
      WHERE id IN (${targets.device_ids})`;
  }
  return sql`
    SELECT t.external_id, d.id AS device_id, d.version, d.channel, d.zone, ${targets.kind}::text AS kind, d.revision, d.retired_dt
    FROM (SELECT DISTINCT external_id FROM unnest(${targets.external_ids}::text[]) AS t (external_id)) t
    LEFT JOIN devices d ON d.kind = ${targets.kind} AND d.external_id = t.external_id`;
};

/**
 * An execution of a stopped update that the update's next steps will cancel. Nobody asks its device any more, so it does not keep the device
 * from another update. About `update_executions e`.
 */
export const abandoned = sql<boolean>`(
  (${unasked} AND e.update_id IN (
    SELECT u.id FROM updates u JOIN firmwares f ON f.id = u.firmware_id
    WHERE u.finished_dt IS NULL AND (u.status IN ('CANCELED', 'ABORTED') OR f.status = 'withdrawn')
  ))
  OR e.update_id IN (SELECT u.id FROM updates u WHERE u.finished_dt IS NULL AND u.cancels_all)
)`;

/** Whether a device `c` runs too old a version of anything else that the firmware needs. */
const lacksRequirement = (requires: readonly FirmwareRequirement[]) => sql<boolean>`EXISTS (
        SELECT FROM jsonb_to_recordset(${JSON.stringify(requires)}::jsonb) AS q (hardware_type text, minimum_version_num integer)
        LEFT JOIN device_firmwares other ON other.device_id = c.device_id AND other.hardware_type = q.hardware_type
        LEFT JOIN firmwares f ON f.id = other.firmware_id
        WHERE coalesce(f.version_num, 0) < q.minimum_version_num
      )`;

const isSuperseded = (below: number | null) =>
  below === null ? sql`NULL::integer` : sql`CASE WHEN ${supersedable} AND e.update_id < ${below} THEN e.id END`;

const revisionsOf = ({ revisions }: Pick<WantedFirmware, 'revisions'>) => sql`${revisions && [...revisions]}::text[]`;

/**
 * Details of an eligibility, about a row of {@link classifiedDevices}; null: there are none. If the revision of a device does not fit, they say
 * which revision it has, and which would fit. A HARDWARE_MISMATCH without details is about the kind or the generation of the device.
 */
export const detailOf = (firmware: WantedFirmware) => sql<string | null>`CASE
  WHEN eligibility = 'HARDWARE_MISMATCH' AND NOT ${fitsRevision(revisionsOf(firmware), sql`revision`)}
    THEN ${revisionMismatch(revisionsOf(firmware), sql`revision`)}
END`;

/**
 * The chosen devices, each with its one eligibility: the query that decides who is updated and who is not, and why.
 * Columns: external_id, kind, device_id (null: unknown), channel, zone ('': none), eligibility, revision, other_update_id (of UPDATE_IN_FLIGHT,
 * or of the superseded execution), superseded_id (an execution of an older update that does not keep the device).
 */
export const classifiedDevices = ({
  firmware,
  allow_downgrade,
  force,
  unknown_version,
  isAbandonedInFlight,
  supersedesBelow = null,
  ...choice
}: Choice): RawBuilder<unknown> => sql`
  SELECT c.external_id, c.kind, c.device_id, c.channel, coalesce(c.zone, '') AS zone, c.revision, flight.update_id AS other_update_id, flight.superseded_id,
    CASE
      WHEN c.device_id IS NULL THEN 'UNKNOWN_DEVICE'
      WHEN c.retired_dt IS NOT NULL THEN 'RETIRED_DEVICE'
      WHEN h.device_kind <> c.kind THEN 'HARDWARE_MISMATCH'
      WHEN h.device_kind = 'scooter' AND NOT CASE WHEN c.version IS NULL THEN h.fits_own_iot ELSE c.version = ANY (h.scooter_versions) END
        THEN 'HARDWARE_MISMATCH'
      WHEN NOT ${fitsRevision(revisionsOf(firmware), sql`c.revision`)} THEN 'HARDWARE_MISMATCH'
      WHEN ${firmware.version_num}::integer IS NULL THEN 'FIRMWARE_NOT_AVAILABLE'
      WHEN flight.update_id IS NOT NULL AND flight.superseded_id IS NULL THEN 'UPDATE_IN_FLIGHT'
      WHEN r.firmware_id = ${firmware.id}::integer THEN 'ALREADY_ON_TARGET'
      WHEN current.version_num > ${firmware.version_num}::integer AND NOT ${allow_downgrade}::boolean THEN 'DOWNGRADE'
      WHEN coalesce(current.version_num, 0) < ${firmware.minimum_from_version_num}::integer THEN 'REQUIRES_NEWER'
      ${firmware.requires.length > 0 ? sql`WHEN ${lacksRequirement(firmware.requires)} THEN 'REQUIRES_NEWER'` : sql``}
      WHEN c.device_id IN (
        SELECT e.device_id
        FROM updates u JOIN update_executions e ON e.update_id = u.id AND e.status = 'FAILED'
          -- If the device runs the version after all, the firmware has not failed.
          AND e.late_success_dt IS NULL
        WHERE u.firmware_id = ${firmware.id} AND NOT ${force}::boolean
        GROUP BY e.device_id
        HAVING count(*) >= ${blockedAfterFailures}
      ) THEN 'BLOCKED'
      -- The device runs an unknown version, so nobody knows which is newer.
      WHEN r.device_id IS NOT NULL AND r.firmware_id IS NULL
        THEN ${unknown_version === 'EXCLUDE' ? 'UNKNOWN_VERSION' : 'ELIGIBLE_UNKNOWN_VERSION'}
      ELSE 'ELIGIBLE'
    END AS eligibility
  FROM (${chosenDevices({ firmware, ...choice })}) c
  CROSS JOIN (SELECT * FROM hardware_types WHERE name = ${firmware.hardware_type}) h
  -- One look into the unique index per device for each of these, and one hash table above. For plain joins PostgreSQL chooses by estimated sizes:
  -- for a part of the devices it would read what all of them run, and with a wrong estimate, for example just after an import, it would compare
  -- each row with each.
  LEFT JOIN LATERAL (
    SELECT r.device_id, r.firmware_id FROM device_firmwares r WHERE r.device_id = c.device_id AND r.hardware_type = h.name LIMIT 1
  ) r ON true
  LEFT JOIN firmwares current ON current.id = r.firmware_id
  LEFT JOIN LATERAL (
    SELECT e.update_id, ${isSuperseded(supersedesBelow)} AS superseded_id FROM update_executions e
    WHERE e.device_id = c.device_id AND e.hardware_type = h.name AND ${unfinished} AND ${isAbandonedInFlight ? sql`true` : sql`NOT ${abandoned}`}
    LIMIT 1
  ) flight ON true`;
