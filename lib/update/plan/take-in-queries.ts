import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { isOpen } from '../../fleet/candidate-queries.ts';
import { planLock } from '../../fleet/change-queries.ts';
import type { DeviceFilter } from '../../fleet/device-filter.ts';
import { filteredDevices } from '../../fleet/device-filter-queries.ts';
import { executionStatuses, isUnfinished, reasons } from '../execution.ts';
import { unfinished } from '../predicates.ts';
import type { LockedUpdate } from '../update-queries.ts';
import type { OpenTargets } from '../update-request.ts';
import { type Choice, classifiedDevices, isEligible, type WantedFirmware } from './eligibility.ts';
import { insertPlanned } from './plan-queries.ts';

/** The devices that an update means. */
export interface Meant {
  update_id: number;
  firmware: WantedFirmware;
  filter: DeviceFilter;
  now: Date;
}

/** Begins a plan without waiting for whoever retires or moves a device at this moment; false: the next step has to try again. */
export const tryToPlan = async (trx: Trx): Promise<boolean> => {
  const { rows } = await sql<{ may: boolean }>`SELECT pg_try_advisory_xact_lock_shared(${planLock}) AS may`.execute(trx);
  return rows[0]?.may ?? false;
};

/**
 * Notes the next ones of all devices that the update means, do not run its firmware and are not under way to it. Answers the last id that it
 * has looked at; null: it has looked at all.
 */
export const noteNextDevices = async (
  trx: Trx,
  { update_id, firmware, filter, now }: Meant,
  after: number,
  limit: number,
): Promise<number | null> => {
  const { rows } = await sql<{ n: number; last: number | null }>`
    WITH meant AS (
      SELECT id FROM (
        ${filteredDevices(filter, { now, firmware_id: firmware.id, isPart: true, among: sql`d.id > ${after}` })}
      ) d ORDER BY id LIMIT ${limit}
    ), noted AS (
      INSERT INTO update_candidates (update_id, device_id)
      SELECT ${update_id}::integer, id FROM meant
      WHERE NOT EXISTS (
        SELECT FROM device_firmwares r
        WHERE r.device_id = meant.id AND r.hardware_type = ${firmware.hardware_type} AND r.firmware_id = ${firmware.id}
      ) AND NOT EXISTS (
        SELECT FROM update_executions e
        WHERE e.device_id = meant.id AND e.hardware_type = ${firmware.hardware_type} AND ${unfinished} AND e.update_id = ${update_id}
      )
    )
    SELECT count(*) AS n, max(id) AS last FROM meant`.execute(trx);
  const { n = 0, last = null } = rows[0] ?? {};
  return n < limit ? null : last;
};

export interface Candidate {
  id: number;
  device_id: number;
}

/** The candidates that wait longest, without those that another update is known to have in flight. They are locked. */
export const listCandidates = async (trx: Trx, update_id: number, limit: number): Promise<Candidate[]> => {
  const { rows } = await sql<Candidate>`
    SELECT c.id, c.device_id FROM update_candidates c
    WHERE c.update_id = ${update_id} AND c.blocked_by_update_id IS NULL
    ORDER BY c.id
    LIMIT ${limit}
    FOR UPDATE SKIP LOCKED`.execute(trx);
  return rows;
};

/** Open updates of the same hardware type that were requested later and have begun: what they mean is theirs. */
export const listYoungerUpdates = async (
  trx: Trx,
  { id, hardware_type }: LockedUpdate,
  now: Date,
): Promise<{ firmware_id: number; targets: OpenTargets }[]> => {
  const { rows } = await sql<{ firmware_id: number; targets: OpenTargets }>`
    SELECT u.firmware_id, u.targets FROM updates u JOIN firmwares f ON f.id = u.firmware_id
    WHERE ${isOpen} AND u.id > ${id} AND f.hardware_type = ${hardware_type} AND u.status <> 'WAITING_FOR_APPROVAL'
      AND (u.start_dt IS NULL OR u.start_dt <= ${now})`.execute(trx);
  return rows;
};

export interface Intake extends Meant, Pick<Choice, 'allow_downgrade' | 'force' | 'unknown_version'> {
  candidates: readonly Candidate[];
  younger: readonly { firmware_id: number; filter: DeviceFilter }[];
  tellsEvents: boolean;
}

/**
 * A device is tried once by an update, unless it was seen to run another version since: otherwise one that fails would be asked again and again
 * whenever something about it changes. A try is one in which the device was asked and that did not succeed. A device that a newer update has
 * superseded does not come back either. About `classified c`.
 */
const hadItsTry = (update_id: number, hardware_type: string) => sql`EXISTS (
  SELECT FROM update_executions e
  LEFT JOIN device_firmwares r ON r.device_id = e.device_id AND r.hardware_type = e.hardware_type
  WHERE e.device_id = c.device_id AND e.hardware_type = ${hardware_type} AND e.update_id = ${update_id}
    AND (
      (e.status = 'CANCELED' AND e.reason LIKE ${`${reasons.superseded}:%`})
      OR (
        e.status IN ('FAILED', 'TIMED_OUT', 'REJECTED') AND e.sent_dt IS NOT NULL
        AND (r.firmware_update_dt IS NULL OR r.firmware_update_dt <= e.finished_dt)
      )
    )
)`;

/**
 * Inserts an execution for each candidate that is meant and eligible, and removes all candidates that have been decided about. `is_any_left`:
 * some have not, because another update has them in flight or somebody is changing them.
 */
export const insertCandidates = async (trx: Trx, intake: Intake): Promise<{ includes_iot: boolean; is_any_left: boolean }> => {
  const { update_id, firmware, filter, now, candidates, younger, tellsEvents } = intake;
  const among = sql`d.id IN (SELECT id FROM lockable)`;
  const ofOthers = younger.map(
    (other) => sql`
      EXCEPT SELECT id FROM (${filteredDevices(other.filter, { now, firmware_id: other.firmware_id, isPart: true, among })}) theirs`,
  );
  const mine = sql`
    SELECT id FROM (${filteredDevices(filter, { now, firmware_id: firmware.id, isPart: true, among })}) meant
    ${sql.join(ofOthers, sql` `)}`;
  const choice: Choice = { ...intake, targets: { device_ids: mine }, isAbandonedInFlight: true };
  const { rows } = await sql<{ includes_iot: boolean | null; decided: number }>`
    WITH noted AS MATERIALIZED (
      SELECT * FROM unnest(${candidates.map(({ id }) => id)}::bigint[], ${candidates.map((c) => c.device_id)}::integer[]) AS c (id, device_id)
    ), lockable AS MATERIALIZED (
      -- An execution needs a lock on its device's row. Whoever has locked it for a change may be waiting for this step.
      SELECT id FROM devices WHERE id IN (SELECT device_id FROM noted) ORDER BY id FOR KEY SHARE SKIP LOCKED
    ), classified AS MATERIALIZED (
      SELECT c.*, NOT ${hadItsTry(update_id, firmware.hardware_type)} AS may_try FROM (${classifiedDevices(choice)}) c
    ), planned AS MATERIALIZED (
      SELECT * FROM classified WHERE ${isEligible} AND may_try
    ), inserted AS (
      ${insertPlanned(sql`SELECT * FROM planned`, { update_id, hardware_type: firmware.hardware_type, now, tellsEvents })}
      -- A device that another plan has taken meanwhile stays a candidate.
      ON CONFLICT (device_id, hardware_type) WHERE status IN ('QUEUED', 'IN_PROGRESS') DO NOTHING
      RETURNING device_id, channel
    ), decided AS (
      DELETE FROM update_candidates c USING noted
      WHERE c.id = noted.id AND noted.device_id IN (SELECT id FROM lockable)
        AND noted.device_id NOT IN (SELECT device_id FROM classified WHERE eligibility = 'UPDATE_IN_FLIGHT')
        AND noted.device_id NOT IN (SELECT device_id FROM planned EXCEPT SELECT device_id FROM inserted)
      RETURNING c.id
    )
    SELECT (SELECT bool_or(channel = 'iot') FROM inserted) AS includes_iot, (SELECT count(*) FROM decided) AS decided`.execute(trx);
  const { includes_iot, decided = 0 } = rows[0] ?? {};
  return { includes_iot: includes_iot ?? false, is_any_left: decided < candidates.length };
};

/**
 * For the candidates that were not decided about: notes which update has each of them in flight, and removes those that this update has in
 * flight itself. Answers how many are left that no update has in flight.
 */
export const holdBlockedCandidates = async (
  trx: Trx,
  { update_id, firmware }: Meant,
  candidates: readonly Candidate[],
): Promise<number> => {
  const { rows } = await sql<{ n: number }>`
    WITH left_over AS MATERIALIZED (
      SELECT c.id, e.update_id AS blocked_by
      FROM update_candidates c
      LEFT JOIN update_executions e ON e.device_id = c.device_id AND e.hardware_type = ${firmware.hardware_type} AND ${unfinished}
      WHERE c.id = ANY (${candidates.map(({ id }) => id)}::bigint[])
    ), mine AS (
      DELETE FROM update_candidates WHERE id IN (SELECT id FROM left_over WHERE blocked_by = ${update_id})
    ), blocked AS (
      UPDATE update_candidates c SET blocked_by_update_id = l.blocked_by
      FROM left_over l WHERE l.id = c.id AND l.blocked_by <> ${update_id}
    )
    SELECT count(*) AS n FROM left_over WHERE blocked_by IS NULL`.execute(trx);
  return rows[0]?.n ?? 0;
};

/** Devices that were left out of an update when it was planned, because other updates had them in flight, become its candidates. */
export const noteDevicesInFlight = async (trx: Trx, update_id: number, hardware_type: string): Promise<void> => {
  await sql`
    INSERT INTO update_candidates (update_id, device_id, blocked_by_update_id)
    SELECT x.update_id, d.id, e.update_id
    FROM update_exclusions x
    JOIN devices d ON d.kind = x.kind AND d.external_id = x.external_id
    LEFT JOIN update_executions e ON e.device_id = d.id AND e.hardware_type = ${hardware_type} AND ${unfinished}
    WHERE x.update_id = ${update_id} AND x.reason = 'UPDATE_IN_FLIGHT'`.execute(trx);
};

const ends = executionStatuses.filter((status) => !isUnfinished(status));

/** The end of an execution may be committed so much later than its `finished_dt`. */
const latestCommitSeconds = 60;

/**
 * Frees candidates of other updates that were blocked by executions of this update which have ended since a moment; null: all that it blocks.
 * Answers whether there were any.
 */
export const freeEndedCandidates = async (trx: Trx, update_id: number, since: Date | null): Promise<boolean> => {
  const hasEnded = since
    ? sql`c.device_id IN (
        SELECT e.device_id FROM update_executions e
        WHERE e.update_id = ${update_id} AND e.status IN (${sql.join(ends.map(sql.lit))})
          AND e.finished_dt > ${since}::timestamptz - make_interval(secs => ${latestCommitSeconds})
      )`
    : sql`true`;
  const { numAffectedRows = 0n } = await sql`
    UPDATE update_candidates SET blocked_by_update_id = NULL
    WHERE id IN (
      SELECT c.id FROM update_candidates c
      WHERE c.blocked_by_update_id = ${update_id} AND ${hasEnded}
      FOR UPDATE SKIP LOCKED
    )`.execute(trx);
  return numAffectedRows > 0n;
};

/**
 * Frees candidates of this update that no update has in flight any more. Usually the update that blocked a candidate has freed it. It may have
 * missed a candidate that was noted at the very moment when it ended. Answers whether there were any.
 */
export const reviewCandidates = async (trx: Trx, { id, hardware_type }: LockedUpdate): Promise<boolean> => {
  const { numAffectedRows = 0n } = await sql`
    UPDATE update_candidates SET blocked_by_update_id = NULL
    WHERE id IN (
      SELECT c.id FROM update_candidates c
      WHERE c.update_id = ${id} AND c.blocked_by_update_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM update_executions e WHERE e.device_id = c.device_id AND e.hardware_type = ${hardware_type} AND ${unfinished}
      )
      FOR UPDATE SKIP LOCKED
    )`.execute(trx);
  return numAffectedRows > 0n;
};

/** Removes the candidates of an update that has ended. */
export const forgetCandidates = async (trx: Trx, update_id: number): Promise<void> => {
  await sql`DELETE FROM update_candidates WHERE update_id = ${update_id}`.execute(trx);
};
