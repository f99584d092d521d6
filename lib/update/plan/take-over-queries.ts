import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import type { DeviceFilter } from '../../fleet/device-filter.ts';
import { filteredDevices } from '../../fleet/device-filter-queries.ts';
import { reasons } from '../execution.ts';
import { moved, movesOf } from '../move-executions.ts';
import { inPhases, supersedable, unfinished } from '../predicates.ts';
import { type Choice, classifiedDevices, takesPart } from './eligibility.ts';
import { insertPlanned } from './plan-queries.ts';

/** An older update of the same hardware type that has not finished. */
export interface OlderUpdate {
  id: number;
  next_step: number;
  created_dt: Date;
}

/** In a chunk or an offer that nobody has taken. */
const onItsWay = inPhases('released', 'offered');

/**
 * Stops the older updates of a hardware type until the transaction ends: no step releases anybody, no chunk is taken to the backend, and no offer
 * by its device. Waits for those that are being taken. From then on they heed the claims of this update ({@link isClaimed}).
 */
export const holdOlderUpdates = async (trx: Trx, update_id: number, hardware_type: string): Promise<OlderUpdate[]> => {
  const { rows } = await sql<OlderUpdate>`
    UPDATE updates SET superseded_by_update_id = ${update_id}
    WHERE id IN (
      -- The latest first, like all that lock several updates. With the mark, a step that waits for this lock reads anew what it goes by.
      SELECT u.id FROM updates u JOIN firmwares f ON f.id = u.firmware_id
      WHERE u.finished_dt IS NULL AND u.id < ${update_id} AND f.hardware_type = ${hardware_type}
      ORDER BY u.id DESC
      FOR NO KEY UPDATE OF u
    )
    RETURNING id, next_step, created_dt`.execute(trx);
  if (rows.length === 0) return [];
  await sql`
    SELECT count(*) FROM (
      SELECT e.id FROM update_executions e
      WHERE e.update_id = ANY (${rows.map(({ id }) => id)}::integer[]) AND ${onItsWay}
      -- In the order of ids, like all statements that write many executions.
      ORDER BY e.id
      FOR NO KEY UPDATE OF e
    ) held`.execute(trx);
  return rows;
};

/** Devices that an update is to take over now. */
export interface TakeOver extends Omit<Choice, 'targets' | 'supersedesBelow' | 'isAbandonedInFlight'> {
  update_id: number;
  /** Which devices a continuous update means now; null: all that it has claimed. */
  filter: DeviceFilter | null;
  tellsEvents: boolean;
  /** At most so many of those that wait, or that nobody has in flight any more. */
  limit: number;
  /** Updates that are held, of which all that is on its way is taken over as well. */
  held: readonly number[];
  /** Whether the update has ended: then it takes only what it has to end elsewhere. */
  hasEnded: boolean;
}

export interface TakenOver {
  /** Whether any of them polls. */
  includesIot: boolean;
  /** How many of them ran the version already. */
  alreadyOnTarget: number;
  /** How many executions of older updates were ended. */
  superseded: number;
  /** Whether others can be taken over at once. */
  isMore: boolean;
  /** Whether there are claims left: devices that are at work, or that somebody else is changing. */
  isAnyLeft: boolean;
}

interface TakenOverRow {
  n: number;
  superseded: number;
  includes_iot: boolean | null;
  already_on_target: number;
  is_any_left: boolean;
}

/**
 * Takes claimed devices over, all in one statement: the execution of the older update ends, and this update gets one. Takes also those that nobody
 * has in flight any more. A device that cannot be updated any more stays where it is; the claim on it ends. Waits for nobody: what somebody else
 * is changing at this moment is left to the next step.
 */
export const takeOverDevices = async (trx: Trx, takeOver: TakeOver): Promise<TakenOver> => {
  const { update_id, filter, tellsEvents, limit, held, hasEnded, ...choice } = takeOver;
  const { firmware, now } = choice;
  const { hardware_type } = firmware;
  const looked = sql`SELECT device_id FROM looked`;
  const meant = filter && filteredDevices(filter, { now, firmware_id: firmware.id, isPart: true, among: sql`d.id IN (${looked})` });
  const device_ids = meant ? sql`SELECT id FROM (${meant}) meant` : looked;
  const { rows } = await sql<TakenOverRow>`
    WITH on_its_way AS (
      SELECT c.device_id
      FROM update_executions e JOIN update_claims c ON c.update_id = ${update_id} AND c.device_id = e.device_id
      WHERE e.update_id = ANY (${held}::integer[]) AND ${onItsWay}
    ), ready AS MATERIALIZED (
      SELECT c.device_id
      FROM update_claims c
      JOIN devices d ON d.id = c.device_id
      -- One look into the unique index per device.
      LEFT JOIN LATERAL (
        SELECT e.update_id, ${supersedable} AS is_supersedable FROM update_executions e
        WHERE e.device_id = c.device_id AND e.hardware_type = ${hardware_type} AND ${unfinished}
        LIMIT 1
      ) flight ON true
      WHERE c.update_id = ${update_id}
        AND CASE WHEN flight.update_id IS NULL THEN NOT ${hasEnded}::boolean ELSE flight.is_supersedable AND flight.update_id < ${update_id} END
      ORDER BY c.device_id
      LIMIT ${limit}
      FOR KEY SHARE OF d SKIP LOCKED
    ), looked AS MATERIALIZED (
      SELECT device_id FROM ready UNION SELECT device_id FROM on_its_way
    ), classified AS MATERIALIZED (
      ${classifiedDevices({ ...choice, targets: { device_ids }, supersedesBelow: update_id, isAbandonedInFlight: true })}
    ), locked AS (
      SELECT e.id, e.phase, e.device_id, 'canceled' AS event
      FROM update_executions e
      WHERE e.id = ANY (ARRAY(SELECT superseded_id FROM classified WHERE ${takesPart})) AND ${supersedable}
      ORDER BY e.id
      FOR NO KEY UPDATE OF e SKIP LOCKED
    ), superseded AS (
      ${moved(movesOf('locked', ['canceled']), now, { reason: sql`${`${reasons.superseded}: ${update_id}`}::text` })}
      RETURNING e.device_id
    ), planned AS MATERIALIZED (
      SELECT * FROM classified
      WHERE ${takesPart} AND (superseded_id IS NULL OR device_id IN (SELECT device_id FROM superseded))
    ), inserted AS (
      ${insertPlanned(sql`SELECT * FROM planned`, { update_id, hardware_type, now, tellsEvents })}
      -- A device that another plan has taken meanwhile stays claimed.
      ON CONFLICT (device_id, hardware_type) WHERE status IN ('QUEUED', 'IN_PROGRESS') DO NOTHING
      RETURNING device_id, channel, status
    ), decided AS (
      -- As an array, so that each is found by the key however many claims there are.
      DELETE FROM update_claims c
      WHERE c.update_id = ${update_id} AND c.device_id = ANY (ARRAY(
        ${looked}
        EXCEPT
        SELECT device_id FROM classified
        WHERE eligibility = 'UPDATE_IN_FLIGHT' OR (${takesPart} AND device_id NOT IN (SELECT device_id FROM inserted))
      ))
      RETURNING c.device_id
    )
    SELECT (SELECT count(*) FROM ready) AS n,
           (SELECT count(*) FROM superseded) AS superseded,
           (SELECT bool_or(channel = 'iot') FROM inserted) AS includes_iot,
           (SELECT count(*) FROM inserted WHERE status = 'SUCCEEDED') AS already_on_target,
           EXISTS (
             SELECT FROM update_claims c
             WHERE c.update_id = ${update_id} AND c.device_id NOT IN (SELECT device_id FROM decided)
           ) AS is_any_left`.execute(trx);
  const [row] = rows;
  if (!row) throw new Error('Taking over has no answer');
  const { n, superseded, includes_iot, already_on_target, is_any_left } = row;
  const includesIot = includes_iot ?? false;
  return { includesIot, alreadyOnTarget: already_on_target, superseded, isMore: n >= limit, isAnyLeft: is_any_left };
};

/** Of an update that has ended: the devices stay where they are. */
export const dropClaims = async (trx: Trx, update_id: number): Promise<void> => {
  await sql`DELETE FROM update_claims WHERE update_id = ${update_id}`.execute(trx);
};
