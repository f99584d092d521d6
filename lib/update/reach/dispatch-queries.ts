import { sql } from 'kysely';
import type { Db, Trx } from '../../db/database.ts';
import type { FirmwareRequirement } from '../../firmware/firmware.ts';
import type { DeviceKind } from '../../fleet/device.ts';
import { reasons, storableText } from '../execution.ts';
import type { BackendGate } from './backend-gate.ts';

/**
 * Longer than a message can be on its way: ten receives, each for the queue's visibility timeout. A chunk that nobody has taken to the
 * backend since has lost its message.
 */
const lostAfterSeconds = 1_800;

/** Makes chunks whose message is lost part of this step, which sends them again. Only while the update is locked. */
export const adoptLostDispatches = async (trx: Trx, update_id: number, step: number, now: Date): Promise<void> => {
  await sql`
    UPDATE update_dispatches SET step = ${step}, released_dt = ${now}
    WHERE update_id = ${update_id} AND answered_dt IS NULL
      AND greatest(released_dt, sent_dt) < ${now}::timestamptz - make_interval(secs => ${lostAfterSeconds})`.execute(trx);
};

/**
 * Takes back chunks that were released at another pace; a call that is under way goes on, and is not repeated. Only while the update is
 * locked.
 */
export const recallDispatches = async (trx: Trx, update_id: number): Promise<void> => {
  await trx
    .updateTable('update_dispatches')
    .set({ is_recalled: true })
    .where('update_id', '=', update_id)
    .where('answered_dt', 'is', null)
    .execute();
};

/** The chunks of a step that the backend has not answered: what a repetition of the step has to send again. */
export const listUnansweredDispatches = async (db: Db, update_id: number, step: number): Promise<number[]> => {
  const rows = await db
    .selectFrom('update_dispatches')
    .select('id')
    .where('update_id', '=', update_id)
    .where('step', '=', step)
    .where('answered_dt', 'is', null)
    .orderBy('id')
    .execute();
  return rows.map(({ id }) => id);
};

export interface ClaimedCommand {
  execution_id: number;
  attempt: number;
  kind: string;
  external_id: string;
  hardware_type: string;
  version: string;
  version_num: number;
  file_link: string;
  sha256: string;
  size_bytes: number;
  requires: FirmwareRequirement[];
  minimum_from_version_num: number | null;
  allow_downgrade: boolean;
  manifest_counter: number;
  request_id: string;
  retries: number;
  number_of_retries: number;
  retry_failure_types: string[];
  in_progress_minutes: number;
  /** Before the call: what it has become meanwhile is the device's own word. */
  status_before: 'QUEUED' | 'IN_PROGRESS';
}

/**
 * Takes a chunk for one call to the backend and answers the commands that are still wanted. `undefined`: it was answered before, or
 * belongs to a call that began less than `leaseSeconds` ago; `findDispatch` tells which.
 *
 * Nothing is wanted any more when the update was paused or ended, its pace changed, or its firmware withdrawn, since the release. The
 * time of sending is written before the call, so that a device that reports faster than the backend answers has one.
 */
export const claimDispatch = async (db: Db, id: number, now: Date, leaseSeconds: number): Promise<ClaimedCommand[] | undefined> => {
  const { rows } = await sql<{ [K in keyof ClaimedCommand]: ClaimedCommand[K] | null }>`
    WITH claimed AS (
      UPDATE update_dispatches SET sent_dt = ${now}
      WHERE id = ${id} AND answered_dt IS NULL
        AND (sent_dt IS NULL OR sent_dt < ${now}::timestamptz - make_interval(secs => ${leaseSeconds}))
      RETURNING id, update_id, is_recalled
    ), wanted AS (
      SELECT claimed.id, f.hardware_type, f.version, f.version_num, f.file_link, f.sha256, f.size_bytes, f.requires,
             f.minimum_from_version_num, u.allow_downgrade, u.manifest_counter, u.request_id, u.number_of_retries, u.retry_failure_types,
             u.in_progress_minutes
      FROM claimed
      JOIN updates u ON u.id = claimed.update_id AND u.status = 'IN_PROGRESS' AND NOT claimed.is_recalled
      JOIN firmwares f ON f.id = u.firmware_id AND f.status = 'available'
    ), locked AS (
      -- In the order of ids, as everything that writes many executions.
      SELECT e.id, e.status
      FROM update_executions e JOIN claimed ON e.dispatch_id = claimed.id
      WHERE e.status IN ('QUEUED', 'IN_PROGRESS')
      ORDER BY e.id
      FOR NO KEY UPDATE OF e
    ), sent AS (
      UPDATE update_executions e
      SET -- Repeated after a crash, it keeps the time of the first call: what a device said since then is an answer.
          sent_dt = CASE WHEN EXISTS (SELECT FROM wanted) THEN coalesce(e.sent_dt, ${now}) ELSE e.sent_dt END,
          is_unanswered = e.is_unanswered OR e.sent_dt IS NOT NULL
      FROM locked
      WHERE e.id = locked.id AND e.status IN ('QUEUED', 'IN_PROGRESS')
      RETURNING e.id, e.device_id, e.attempt, e.retries, locked.status AS status_before
    )
    SELECT sent.id AS execution_id, sent.attempt, d.kind, d.external_id, w.hardware_type, w.version, w.version_num, w.file_link, w.sha256,
           w.size_bytes, w.requires, w.minimum_from_version_num, w.allow_downgrade, w.manifest_counter, w.request_id, sent.retries, w.number_of_retries, w.retry_failure_types, w.in_progress_minutes, sent.status_before
    FROM claimed
    LEFT JOIN wanted w ON true
    LEFT JOIN sent ON w.id IS NOT NULL
    LEFT JOIN devices d ON d.id = sent.device_id
    ORDER BY sent.id`.execute(db);
  if (rows.length === 0) return undefined;
  return rows.filter((row): row is ClaimedCommand => row.execution_id !== null);
};

export const findDispatch = (db: Db, id: number) =>
  db.selectFrom('update_dispatches').select(['id', 'answered_dt']).where('id', '=', id).executeTakeFirst();

export interface DispatchOutcome {
  execution_id: number;
  status_before: 'QUEUED' | 'IN_PROGRESS';
  outcome: 'accepted' | 'deferred' | 'refused' | 'retried';
  reason: string | null;
  detail: string | null;
  /** When a deferred or retried one may be released again. */
  next_attempt_dt: Date | null;
  /** Whether the next command is another one to the backend, or a repetition of this one, whose fate is unknown. */
  is_answered: boolean;
}

export interface DispatchAnswer {
  now: Date;
  /** Whether the backend was called at all; a chunk that was held back is no command. */
  wasCalled: boolean;
  error: string | null;
  /** When the devices are looked up for the first time; null when none was accepted. */
  next_verification_dt: Date | null;
}

/**
 * Stores what the backend answered for a chunk, in one statement. Executions that have moved on since (a device can be faster than
 * the backend's answer) stay as they are; those of the chunk that no outcome is for wait again.
 */
export const recordDispatch = async (
  db: Db,
  id: number,
  outcomes: readonly DispatchOutcome[],
  { now, wasCalled, error, next_verification_dt }: DispatchAnswer,
): Promise<void> => {
  await sql`
    WITH answered AS (
      UPDATE update_dispatches
      SET answered_dt = ${now}, error = ${error}, next_verification_dt = ${next_verification_dt},
          sent_dt = CASE WHEN ${wasCalled}::boolean THEN sent_dt END
      WHERE id = ${id} AND answered_dt IS NULL
      RETURNING id
    ), outcomes AS (
      SELECT e.id, coalesce(o.outcome, 'withheld') AS outcome, o.reason, o.detail, o.next_attempt_dt, coalesce(o.is_answered, false) AS is_answered, o.status_before
      FROM answered
      JOIN update_executions e ON e.dispatch_id = answered.id
      LEFT JOIN unnest(
        ${outcomes.map((o) => o.execution_id)}::integer[],
        ${outcomes.map((o) => o.outcome)}::text[],
        ${outcomes.map((o) => o.reason)}::text[],
        ${outcomes.map((o) => o.detail)}::text[],
        ${outcomes.map((o) => o.next_attempt_dt)}::timestamptz[],
        ${outcomes.map((o) => o.is_answered)}::boolean[],
        ${outcomes.map((o) => o.status_before)}::text[]
      ) AS o (execution_id, outcome, reason, detail, next_attempt_dt, is_answered, status_before) ON o.execution_id = e.id
      ORDER BY e.id
      FOR NO KEY UPDATE OF e
    )
    UPDATE update_executions e
    SET status = CASE o.outcome WHEN 'accepted' THEN 'IN_PROGRESS' WHEN 'retried' THEN 'IN_PROGRESS' WHEN 'refused' THEN 'REJECTED' ELSE e.status END,
        reason = CASE o.outcome WHEN 'withheld' THEN e.reason ELSE o.reason END,
        detail = CASE o.outcome WHEN 'withheld' THEN e.detail ELSE nullif(o.detail, '') END,
        next_attempt_dt = o.next_attempt_dt,
        sent_dt = CASE WHEN ${wasCalled}::boolean OR e.is_unanswered THEN e.sent_dt END,
        is_unanswered = CASE WHEN o.outcome = 'withheld' THEN e.is_unanswered ELSE NOT o.is_answered END,
        dispatch_id = CASE WHEN o.outcome IN ('accepted', 'refused') THEN e.dispatch_id END,
        attempt = CASE WHEN o.outcome IN ('deferred', 'retried') AND o.is_answered THEN e.attempt + 1 ELSE e.attempt END,
        retries = CASE o.outcome WHEN 'retried' THEN e.retries + 1 ELSE e.retries END,
        finished_dt = CASE o.outcome WHEN 'refused' THEN ${now}::timestamptz END
    FROM outcomes o
    WHERE e.id = o.id AND e.dispatch_id = ${id} AND e.status IN ('QUEUED', 'IN_PROGRESS') AND e.status = coalesce(o.status_before, e.status)`.execute(
    db,
  );
};

export const deferredReason = (text: string): string => storableText(`${reasons.deferred}: ${text}`, 500);

export const getGate = async (db: Db): Promise<BackendGate> =>
  db.selectFrom('backend_gate').select(['share', 'changed_dt', 'failures', 'closed_until', 'usual_latency_ms']).executeTakeFirstOrThrow();

/** Changes the gate while no other call does: several calls end at one moment. Writes only when something has changed. */
export const changeGate = (db: Db, change: (gate: BackendGate) => BackendGate): Promise<void> =>
  db.transaction().execute(async (trx) => {
    const gate = await trx
      .selectFrom('backend_gate')
      .select(['share', 'changed_dt', 'failures', 'closed_until', 'usual_latency_ms'])
      .forUpdate()
      .executeTakeFirstOrThrow();
    const changed = change(gate);
    if (changed !== gate) await trx.updateTable('backend_gate').set(changed).execute();
  });

const longestVerificationMinutes = 15;

/**
 * Minutes from a command to the first look-up of its device; each wait after that is twice as long, up to 15 minutes, until the deadline.
 * With the default deadline 1, 2, 4, 8, 15 minutes; a short deadline has room for two.
 */
export const firstVerificationMinutes = (inProgressMinutes: number): number => Math.min(1, inProgressMinutes / 4);

const maximumVerificationsPerStep = 1_000;

/**
 * Notes which chunks are to be looked up in this step, and when next. A chunk without an execution in progress is not looked up any
 * more. Only while the update is locked.
 */
export const scheduleVerifications = async (
  trx: Trx,
  { id, in_progress_minutes }: { id: number; in_progress_minutes: number },
  step: number,
  now: Date,
): Promise<void> => {
  await sql`
    WITH due AS (
      SELECT d.id, EXISTS (SELECT FROM update_executions e WHERE e.dispatch_id = d.id AND e.status = 'IN_PROGRESS') AS is_open
      FROM update_dispatches d
      WHERE d.update_id = ${id} AND d.next_verification_dt <= ${now}
      ORDER BY d.next_verification_dt
      LIMIT ${maximumVerificationsPerStep}
    )
    UPDATE update_dispatches d
    SET verification_step = CASE WHEN due.is_open THEN ${step}::integer END,
        verification_round = d.verification_round + 1,
        next_verification_dt = CASE WHEN due.is_open THEN
          ${now}::timestamptz + make_interval(secs => 60 * least(
            ${longestVerificationMinutes},
            ${firstVerificationMinutes(in_progress_minutes)}::double precision * 2 ^ (d.verification_round + 1)
          ))
        END
    FROM due WHERE d.id = due.id`.execute(trx);
};

/** The chunks that a step wants looked up: what it has to send, again when it is repeated. */
export const listVerifications = async (db: Db, update_id: number, step: number): Promise<number[]> => {
  const rows = await db
    .selectFrom('update_dispatches')
    .select('id')
    .where('update_id', '=', update_id)
    .where('verification_step', '=', step)
    .orderBy('id')
    .execute();
  return rows.map(({ id }) => id);
};

/** The devices of a chunk whose execution waits for proof. */
export const listUnprovenDevices = (db: Db, dispatch_id: number) =>
  db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .innerJoin('updates as u', 'u.id', 'e.update_id')
    .select(['d.kind', 'd.external_id', 'u.request_id'])
    .where('e.dispatch_id', '=', dispatch_id)
    .where('e.status', '=', 'IN_PROGRESS')
    .$narrowType<{ kind: DeviceKind }>()
    .execute();
