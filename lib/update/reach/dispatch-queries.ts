import { sql } from 'kysely';
import type { AuthorSignature, SignedPart } from '../../authors/signature.ts';
import { addSeconds } from '../../clock.ts';
import type { Db, Trx } from '../../db/database.ts';
import type { FirmwareRequirement } from '../../firmware/firmware.ts';
import { revisionsOf } from '../../firmware/revision-queries.ts';
import type { MaintenanceWindow } from '../../fleet/maintenance-window.ts';
import { wordsOfOthers } from '../../words-of-others.ts';
import type { GateInJson } from '../backend-gate.ts';
import { reasons } from '../execution.ts';
import { hasRevision } from '../hardware-queries.ts';
import { moved, movesOf, movesOrRetriesOf } from '../move-executions.ts';
import { unfinished } from '../predicates.ts';
import type { ZoneWindow } from '../zone-rules.ts';

/**
 * Assigns chunks without an answer to a step, which then sends their messages again. Takes the chunks whose message was sent at or before
 * `releasedBefore`, and whose call, if there was one, began before `calledBefore`. Only while the update is locked.
 */
export const adoptDispatches = async (
  trx: Trx,
  update_id: number,
  step: number,
  { releasedBefore, calledBefore, now }: { releasedBefore: Date; calledBefore: Date; now: Date },
): Promise<void> => {
  await sql`
    UPDATE update_dispatches SET step = ${step}, released_dt = ${now}
    WHERE id IN (
      SELECT id FROM update_dispatches
      WHERE update_id = ${update_id} AND answered_dt IS NULL AND released_dt <= ${releasedBefore}
        AND (sent_dt IS NULL OR sent_dt < ${calledBefore})
      FOR NO KEY UPDATE SKIP LOCKED
    )`.execute(trx);
};

/**
 * Takes back chunks that were released at the old pace. A call that is under way goes on, but is not repeated. Only while the update is
 * locked.
 */
export const recallDispatches = async (trx: Trx, update_id: number): Promise<void> => {
  await sql`
    UPDATE update_dispatches SET is_recalled = true
    WHERE id IN (SELECT id FROM update_dispatches WHERE update_id = ${update_id} AND answered_dt IS NULL FOR NO KEY UPDATE SKIP LOCKED)`.execute(
    trx,
  );
};

/** The chunks of a step that the backend has not answered. A repetition of the step has to send them again. */
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

/** A chunk, and the firmware and the update that all its commands are about. */
export interface Dispatch {
  id: number;
  commands: number;
  /** Whether the backend was called, or the chunk put back. */
  is_answered: boolean;
  /** Whether a call has begun, so that the backend may know of it; also when the function died in it. */
  was_called: boolean;
  /** Whether a call that may still be under way has it. */
  is_under_way: boolean;
  /** false: the update was paused or has ended, its pace changed, or its firmware was withdrawn since the release. */
  is_wanted: boolean;
  hardware_type: string;
  version: string;
  version_num: number;
  firmware_id: number;
  file_link: string;
  sha256: string;
  size_bytes: number;
  requires: FirmwareRequirement[];
  minimum_from_version_num: number | null;
  author_signatures: AuthorSignature[];
  signed_parts: SignedPart[];
  allow_downgrade: boolean;
  manifest_counter: number;
  request_id: string;
  in_progress_minutes: number;
  /** The zones of its devices; null: no window holds any device back. */
  zones: ZoneWindow[] | null;
  window: MaintenanceWindow | null;
  ignore_window: boolean;
  gate: GateInJson;
}

/** Nobody works on the chunk: it was not taken yet, or the function that took it has died. */
const isFree = (now: Date, leaseSeconds: number) =>
  sql<boolean>`(d.sent_dt IS NULL OR d.sent_dt < ${now}::timestamptz - make_interval(secs => ${leaseSeconds}))`;

/** The zones of a chunk's devices, if a window could hold them back. */
const zonesOfChunk = sql<ZoneWindow[] | null>`CASE
  WHEN NOT u.ignore_window AND (u."window" IS NOT NULL OR EXISTS (SELECT FROM zones WHERE maintenance_window IS NOT NULL)) THEN (
    SELECT jsonb_agg(jsonb_build_object('zone', e.zone, 'time_zone', z.time_zone, 'maintenance_window', z.maintenance_window))
    FROM (SELECT DISTINCT zone FROM update_executions WHERE dispatch_id = d.id) e LEFT JOIN zones z ON z.name = e.zone
  )
END`;

const isWanted = sql<boolean>`(u.status = 'IN_PROGRESS' AND f.status = 'available' AND NOT d.is_recalled)`;

/** @param leaseSeconds how long a call may take */
export const findDispatch = (db: Db, id: number, now: Date, leaseSeconds: number): Promise<Dispatch | undefined> =>
  db
    .selectFrom('update_dispatches as d')
    .innerJoin('updates as u', 'u.id', 'd.update_id')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .select(['d.id', 'd.commands', 'f.id as firmware_id', 'f.hardware_type', 'f.version', 'f.file_link', 'f.sha256'])
    .select(['f.minimum_from_version_num', 'f.author_signatures', 'f.signed_parts'])
    .select(['u.allow_downgrade', 'u.manifest_counter', 'u.request_id', 'u.in_progress_minutes'])
    .select([
      sql<boolean>`d.answered_dt IS NOT NULL`.as('is_answered'),
      sql<boolean>`d.sent_dt IS NOT NULL`.as('was_called'),
      sql<boolean>`d.answered_dt IS NULL AND NOT ${isFree(now, leaseSeconds)}`.as('is_under_way'),
      isWanted.as('is_wanted'),
      sql<number>`f.version_num`.as('version_num'),
      sql<number>`f.size_bytes`.as('size_bytes'),
      sql<FirmwareRequirement[]>`f.requires`.as('requires'),
      zonesOfChunk.as('zones'),
      sql<MaintenanceWindow | null>`u.window`.as('window'),
      'u.ignore_window',
      sql<GateInJson>`(SELECT to_jsonb(g) FROM backend_gate g)`.as('gate'),
    ])
    .where('d.id', '=', id)
    .$narrowType<{ file_link: string; sha256: string; author_signatures: AuthorSignature[]; signed_parts: SignedPart[] }>()
    .executeTakeFirst();

export interface ClaimedCommand {
  execution_id: number;
  attempt: number;
  kind: string;
  external_id: string;
}

export interface Claim {
  now: Date;
  leaseSeconds: number;
  /** The zones whose devices may be asked at this moment; null: all. The others of the chunk are left out. */
  openZones: readonly string[] | null;
}

/**
 * Takes a chunk for one call to the backend and answers its commands, which may be none. `undefined`: the chunk must not be sent any more,
 * or another call has it; {@link findDispatch} tells which.
 *
 * The time of sending is written before the call, so that it is known even if a device reports faster than the backend answers.
 */
export const claimDispatch = (db: Db, id: number, { now, leaseSeconds, openZones }: Claim): Promise<ClaimedCommand[] | undefined> =>
  db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ revisions: string[] | null }>`
      UPDATE update_dispatches d SET sent_dt = ${now}
      FROM updates u JOIN firmwares f ON f.id = u.firmware_id
      WHERE d.id = ${id} AND d.answered_dt IS NULL AND ${isFree(now, leaseSeconds)} AND u.id = d.update_id AND ${isWanted}
      RETURNING ${revisionsOf('f')} AS revisions`.execute(trx);
    const [taken] = rows;
    return taken && claimExecutions(trx, id, { openZones, revisions: taken.revisions, now });
  });

const claimExecutions = async (
  trx: Trx,
  dispatch_id: number,
  { openZones, revisions, now }: Pick<Claim, 'openZones' | 'now'> & { revisions: readonly string[] | null },
): Promise<ClaimedCommand[]> => {
  const inOpenZone = openZones ? sql`AND e.zone = ANY (${openZones}::text[])` : sql``;
  // A device that does not fit any more waits again, and the next step takes it out of the update.
  const fits = revisions ? sql`AND ${hasRevision(revisions)}` : sql``;
  const { rows } = await sql<ClaimedCommand>`
    WITH locked AS (
      -- In the order of ids, like all statements that write many executions.
      SELECT e.id, e.phase, 'claimed' AS event
      FROM update_executions e
      WHERE e.dispatch_id = ${dispatch_id} AND ${unfinished} ${inOpenZone} ${fits}
      ORDER BY e.id
      FOR NO KEY UPDATE OF e
    ), claimed AS (
      ${moved(movesOf('locked', ['claimed']), now)}
      RETURNING e.id, e.device_id, e.attempt
    )
    SELECT claimed.id AS execution_id, claimed.attempt, d.kind, d.external_id
    FROM claimed JOIN devices d ON d.id = claimed.device_id
    ORDER BY claimed.id`.execute(trx);
  return rows;
};

/** What the backend has answered for a command. `unanswered`: it is not known whether the backend took the command. */
export interface DispatchOutcome {
  execution_id: number;
  event: 'accepted' | 'deferred' | 'unanswered' | 'refused';
  /** null: the reason that the state machine gives. */
  reason: string | null;
  detail: string | null;
  /** When a command that was put off may be released again. */
  next_attempt_dt: Date | null;
}

export interface DispatchAnswer {
  now: Date;
  /** Whether the backend was called, or may have been. A chunk that was held back does not count for the pace. */
  wasCalled: boolean;
  error: string | null;
  /** When the devices are looked up for the first time; null: they need not be. */
  next_verification_dt: Date | null;
}

/**
 * Stores what the backend answered for a chunk, in one statement. Executions that have moved on since (a device can be faster than
 * the backend's answer) stay as they are. Executions of the chunk without an outcome wait again; if a call about them had begun, the same
 * command is sent again.
 */
export const recordDispatch = async (
  db: Db,
  id: number,
  outcomes: readonly DispatchOutcome[],
  { now, wasCalled, error, next_verification_dt }: DispatchAnswer,
): Promise<void> => {
  const retry = { number_of_retries: sql`c.number_of_retries`, failure_types: sql`c.retry_failure_types`, may_retry: sql`c.may_retry` };
  await sql`
    WITH answered AS (
      UPDATE update_dispatches d
      SET answered_dt = ${now}, error = ${error}, next_verification_dt = ${next_verification_dt},
          sent_dt = CASE WHEN ${wasCalled}::boolean THEN d.sent_dt END
      FROM updates u
      WHERE d.id = ${id} AND d.answered_dt IS NULL AND u.id = d.update_id
      RETURNING d.id, u.number_of_retries, u.retry_failure_types, u.status IN ('IN_PROGRESS', 'PAUSED') AS may_retry
    ), outcomes AS (
      SELECT * FROM unnest(
        ${outcomes.map((o) => o.execution_id)}::integer[],
        ${outcomes.map((o) => o.event)}::text[],
        ${outcomes.map((o) => o.reason)}::text[],
        ${outcomes.map((o) => o.detail)}::text[],
        ${outcomes.map((o) => o.next_attempt_dt)}::timestamptz[]
      ) AS o (execution_id, event, reason, detail, next_attempt_dt)
    ), locked AS (
      SELECT e.id, e.phase, e.retries, coalesce(o.event, CASE WHEN ${wasCalled}::boolean AND e.phase = 'calling' THEN 'unanswered' ELSE 'withheld' END) AS event, o.reason, o.detail, o.next_attempt_dt,
             answered.number_of_retries, answered.retry_failure_types, answered.may_retry
      FROM answered
      JOIN update_executions e ON e.dispatch_id = answered.id
      LEFT JOIN outcomes o ON o.execution_id = e.id
      WHERE ${unfinished}
      ORDER BY e.id
      FOR NO KEY UPDATE OF e
    )
    ${moved(movesOrRetriesOf('locked', ['withheld', 'accepted', 'deferred', 'unanswered', 'refused'], retry, now), now, {
      reason: sql`coalesce(m.retry_reason, m.reason)`,
      detail: sql`nullif(m.detail, '')`,
      next_attempt_dt: sql`coalesce(m.retry_dt, m.next_attempt_dt)`,
    })}`.execute(db);
};

/** Deletes a chunk that was put back without a call. Its executions wait again. */
export const removeDispatch = async (db: Db, id: number): Promise<void> => {
  await sql`
    DELETE FROM update_dispatches d
    WHERE d.id = ${id} AND d.answered_dt IS NOT NULL AND d.sent_dt IS NULL AND ${isLeft}`.execute(db);
};

/** No execution belongs to the chunk any more. */
const isLeft = sql<boolean>`NOT EXISTS (SELECT FROM update_executions e WHERE e.dispatch_id = d.id)`;

/** The longest pace window: a command counts for so long. */
const longestWindowSeconds = 60;

/**
 * Merges the rows of calls that failed in the same way: only the latest row stays, and counts the calls before it. So a long outage leaves
 * no more rows than a short one. If a crash prevents this, the next failure makes up for it.
 */
export const gatherFailures = async (db: Db, id: number, now: Date): Promise<void> => {
  await sql`
    WITH latest AS (
      -- Locked first: if another call merges this row at the same moment, nothing is left to do here.
      SELECT id, update_id, error FROM update_dispatches WHERE id = ${id} AND error IS NOT NULL FOR NO KEY UPDATE
    ), gathered AS (
      DELETE FROM update_dispatches WHERE id IN (
        SELECT d.id FROM latest JOIN update_dispatches d ON d.update_id = latest.update_id AND d.error = latest.error
        WHERE d.id < latest.id AND (d.sent_dt IS NULL OR d.answered_dt <= ${addSeconds(now, -longestWindowSeconds)}) AND ${isLeft}
        FOR UPDATE OF d SKIP LOCKED
      )
      RETURNING calls
    )
    UPDATE update_dispatches SET calls = calls + (SELECT coalesce(sum(calls), 0) FROM gathered) WHERE id = (SELECT id FROM latest)`.execute(
    db,
  );
};

export const deferredReason = (text: string): string => wordsOfOthers(`${reasons.deferred}: ${text}`, 500);
