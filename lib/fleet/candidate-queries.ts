import { type RawBuilder, sql } from 'kysely';
import { latestStepSeconds } from '../walk.ts';

/**
 * Candidates are devices that may have come to match an update that is open: whatever changes a device notes them in the statement that stores
 * the change, and the update's next step looks at them (lib/update/plan/take-in.ts). To note a device for nothing costs little; to miss one
 * means that it is never updated. While no update is open, nothing is written.
 */

/** `updates u` that are open: continuous ones that have not ended. Constants, so that PostgreSQL can use the index that is made for it. */
export const isOpen = sql<boolean>`(
  u.continuous AND u.status IN ('WAITING_FOR_APPROVAL', 'SCHEDULED', 'IN_PROGRESS', 'PAUSED')
)`;

const openUpdates = sql`
  SELECT u.id, u.heeds_all_types, f.id AS firmware_id, h.name AS hardware_type, h.device_kind
  FROM updates u JOIN firmwares f ON f.id = u.firmware_id JOIN hardware_types h ON h.name = f.hardware_type
  WHERE ${isOpen}`;

/** Part of a statement that changes devices: notes those in `changed (device_id, kind)`. */
export const noteChangedDevices = (changed: RawBuilder<unknown>): RawBuilder<unknown> => sql`
  INSERT INTO update_candidates (update_id, device_id)
  SELECT open.id, c.device_id FROM (${changed}) c JOIN (${openUpdates}) open ON open.device_kind = c.kind`;

/**
 * Part of the statement that stores reports: notes the devices in `changed (device_id, hardware_type, firmware_id)`, which run another version
 * now, unless it is the one that the update brings.
 */
export const noteChangedVersions: RawBuilder<unknown> = sql`
  INSERT INTO update_candidates (update_id, device_id)
  SELECT open.id, c.device_id
  FROM changed c JOIN (${openUpdates}) open ON open.hardware_type = c.hardware_type OR open.heeds_all_types
  WHERE c.firmware_id IS DISTINCT FROM open.firmware_id`;

/** `updates u` that would take devices in and that nobody carries on: they rest, or their message is lost. */
export const isToWake = (now: Date): RawBuilder<boolean> => sql<boolean>`(
  u.status IN ('SCHEDULED', 'IN_PROGRESS')
  AND (
    u.rests_dt IS NOT NULL
    OR greatest(u.due_dt, u.woken_dt) < ${now}::timestamptz - make_interval(secs => ${latestStepSeconds})
  )
)`;

/** Whether any open update has to be woken when a device is noted for it. */
export const isAnyToWake = (now: Date): RawBuilder<boolean> =>
  sql<boolean>`EXISTS (SELECT FROM updates u WHERE ${isOpen} AND ${isToWake(now)})`;
