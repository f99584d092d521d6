import { type RawBuilder, sql } from 'kysely';
import { kindOf, type Targets } from './update.ts';

export interface WantedFirmware {
  id: number;
  hardware_type: string;
  version_num: number;
}

/** The hash that decides who is in a sample: 32 bits of an MD5, the same on every version of PostgreSQL. */
const sampleNumber = sql`('x' || left(md5(d.kind || '.' || d.external_id), 8))::bit(32)::bigint`;

const chosenDevices = (targets: Targets): RawBuilder<unknown> => {
  if (!('filter' in targets)) {
    return sql`
      SELECT t.external_id, d.id AS device_id, d.version, d.channel, d.kind
      FROM (SELECT DISTINCT external_id FROM unnest(${targets.external_ids}::text[]) AS t (external_id)) t
      LEFT JOIN devices d ON d.kind = ${targets.kind} AND d.external_id = t.external_id`;
  }
  const { kind, version, running, percentage } = targets.filter;
  const conditions = [sql`d.kind = ${kind}`];
  if (version !== undefined) conditions.push(sql`d.version = ${version}`);
  if (running) {
    const ran = 'version' in running ? sql`r.reported_version = ${running.version}` : sql`r.firmware_id = ${running.firmware_id}`;
    conditions.push(sql`EXISTS (
      SELECT FROM device_firmwares r WHERE r.device_id = d.id AND r.hardware_type = ${running.hardware_type} AND ${ran}
    )`);
  }
  // 2^32 numbers: a sample of p per cent are the devices whose number is in the first p per cent of them.
  if (percentage !== undefined) conditions.push(sql`${sampleNumber} < ${Math.round((percentage / 100) * 2 ** 32)}::bigint`);
  return sql`
    SELECT d.external_id, d.id AS device_id, d.version, d.channel, d.kind
    FROM devices d
    WHERE ${sql.join(conditions, sql` AND `)}`;
};

/**
 * The chosen devices, each with its one eligibility: the query that decides who is updated and who is not, and why.
 * Columns: external_id, device_id (null: unknown), eligibility.
 */
export const classifiedDevices = (targets: Targets, firmware: WantedFirmware, allowDowngrade: boolean): RawBuilder<unknown> => sql`
  SELECT c.external_id, c.device_id,
    CASE
      WHEN c.device_id IS NULL THEN 'UNKNOWN_DEVICE'
      WHEN h.device_kind <> ${kindOf(targets)} THEN 'HARDWARE_MISMATCH'
      WHEN h.device_kind = 'scooter' AND NOT CASE WHEN c.version IS NULL THEN h.fits_own_iot ELSE c.version = ANY (h.scooter_versions) END
        THEN 'HARDWARE_MISMATCH'
      WHEN EXISTS (
        SELECT FROM update_executions e
        WHERE e.device_id = c.device_id AND e.hardware_type = h.name AND e.status IN ('QUEUED', 'IN_PROGRESS')
      ) THEN 'UPDATE_IN_FLIGHT'
      WHEN r.firmware_id = ${firmware.id}::integer THEN 'ALREADY_ON_TARGET'
      WHEN current.version_num > ${firmware.version_num}::integer AND NOT ${allowDowngrade}::boolean THEN 'DOWNGRADE'
      ELSE 'ELIGIBLE'
    END AS eligibility
  FROM (${chosenDevices(targets)}) c
  CROSS JOIN (SELECT * FROM hardware_types WHERE name = ${firmware.hardware_type}) h
  LEFT JOIN device_firmwares r ON r.device_id = c.device_id AND r.hardware_type = h.name
  LEFT JOIN firmwares current ON current.id = r.firmware_id`;
