import { type RawBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import type { Db, Trx } from '../db/database.ts';
import type { DeviceKind } from '../fleet/device.ts';
import { decodeCursor, type Page, toPage } from '../http/page.ts';
import {
  type DeviceExecution,
  type Execution,
  type ExecutionStatus,
  type FailureType,
  type RetryPolicy,
  reasons,
  retryDelaySeconds,
  type Transition,
  transitions,
} from './execution.ts';
import { type Choice, classifiedDevices, kindOf } from './plan/eligibility.ts';
import { nextOfferDt, type OfferTimes } from './reach/offer-queries.ts';
import type { DryRun, Eligibility, PartChanges } from './update.ts';
import type { Planned } from './update-queries.ts';
import type { UpdateStatus } from './update-status.ts';

/**
 * Queues one execution per eligible device and notes who is left out and why, in one statement whatever their number.
 * Two requests at one moment cannot both take a device: the unique index decides, and the loser counts it as UPDATE_IN_FLIGHT.
 * Inserted in the order of device ids, so that two requests cannot wait for each other in a circle.
 */
export const insertExecutions = async (
  trx: Trx,
  update_id: number,
  choice: Choice,
  now: Date,
  tellsEvents = false,
): Promise<{ planned: Planned; includes_iot: boolean }> => {
  const status = sql`CASE eligibility WHEN 'ELIGIBLE' THEN 'QUEUED' ELSE 'SUCCEEDED' END`;
  const { rows } = await sql<{ eligibility: Eligibility; n: number; includes_iot: boolean | null }>`
    WITH classified AS MATERIALIZED (
      ${classifiedDevices(choice)}
    ), inserted AS (
      INSERT INTO update_executions (update_id, device_id, hardware_type, channel, status, told_status, reason, queued_dt, finished_dt)
      SELECT ${update_id}::integer, device_id, ${choice.firmware.hardware_type}, channel,
             -- How it begins is no change to be told.
             ${status}, ${tellsEvents ? status : sql`NULL`},
             CASE eligibility WHEN 'ELIGIBLE' THEN NULL ELSE ${reasons.alreadyOnTarget} END,
             ${now}::timestamptz,
             CASE eligibility WHEN 'ELIGIBLE' THEN NULL ELSE ${now}::timestamptz END
      FROM classified
      WHERE eligibility IN ('ELIGIBLE', 'ALREADY_ON_TARGET')
      ORDER BY device_id
      ON CONFLICT (device_id, hardware_type) WHERE status IN ('QUEUED', 'IN_PROGRESS') DO NOTHING
      RETURNING device_id
    ), taken AS (
      -- By IN, which looks up a hash table: how a join of the two is done depends on a guess at their sizes, and with a wrong one
      -- compares each with each.
      SELECT external_id, eligibility, channel, coalesce(device_id IN (SELECT device_id FROM inserted), false) AS takes_part
      FROM classified
    ), outcome AS (
      SELECT external_id, channel, takes_part,
             CASE WHEN eligibility = 'ELIGIBLE' AND NOT takes_part THEN 'UPDATE_IN_FLIGHT' ELSE eligibility END AS eligibility
      FROM taken
    ), excluded AS (
      INSERT INTO update_exclusions (update_id, kind, external_id, reason)
      SELECT ${update_id}::integer, ${kindOf(choice.targets)}, external_id, eligibility
      FROM outcome
      WHERE NOT takes_part
    )
    SELECT eligibility, count(*) AS n, bool_or(takes_part AND channel = 'iot') AS includes_iot FROM outcome GROUP BY eligibility`.execute(
    trx,
  );
  return {
    planned: Object.fromEntries(rows.map(({ eligibility, n }) => [eligibility, n])),
    includes_iot: rows.some((row) => row.includes_iot),
  };
};

type EligibilityGroup = DryRun['reasons'][number];

/** Who would be updated and why others would not, each reason with its first devices, in one statement that changes nothing. */
export const listEligibilityGroups = async (db: Db, choice: Choice, devicesPerGroup: number): Promise<EligibilityGroup[]> => {
  const { rows } = await sql<EligibilityGroup>`
    WITH classified AS (
      ${classifiedDevices(choice)}
    ), numbered AS (
      SELECT external_id, eligibility, other_update_id, row_number() OVER (PARTITION BY eligibility ORDER BY external_id COLLATE "C") AS n
      FROM classified
    )
    SELECT eligibility AS reason, count(*) AS count,
           jsonb_agg(
             jsonb_build_object('external_id', external_id, 'other_update_id', CASE eligibility WHEN 'UPDATE_IN_FLIGHT' THEN other_update_id END)
             ORDER BY n
           ) FILTER (WHERE n <= ${devicesPerGroup}) AS devices
    FROM numbered GROUP BY eligibility ORDER BY 2 DESC, 1`.execute(db);
  return rows;
};

/** What an update with the package of an assembly would change of each part on the eligible devices, the most frequent change first. */
export const listPartChanges = async (db: Db, choice: Choice, assembly_id: number): Promise<PartChanges[]> => {
  const { rows } = await sql<PartChanges>`
    WITH eligible AS MATERIALIZED (
      SELECT device_id FROM (${classifiedDevices(choice)}) c WHERE eligibility = 'ELIGIBLE'
    ), changes AS (
      SELECT p.position, r.reported_version AS from_version, f.version_num AS from_version_num, count(*) AS count,
             CASE
               WHEN r.firmware_id = part.id THEN 'NONE'
               WHEN f.version_num < part.version_num THEN 'UPGRADE'
               WHEN f.version_num > part.version_num THEN 'DOWNGRADE'
               ELSE 'UNKNOWN'
             END AS change
      FROM assembly_parts p
      JOIN firmwares part ON part.id = p.firmware_id
      CROSS JOIN eligible e
      LEFT JOIN device_firmwares r ON r.device_id = e.device_id AND r.hardware_type = part.hardware_type
      LEFT JOIN firmwares f ON f.id = r.firmware_id
      WHERE p.assembly_id = ${assembly_id}
      GROUP BY 1, 2, 3, 5
    )
    SELECT part.id AS firmware_id, part.hardware_type, part.version, part.version_num,
           (
             SELECT coalesce(jsonb_agg(to_jsonb(c) - 'position' ORDER BY c.count DESC, c.from_version), '[]')
             FROM changes c WHERE c.position = p.position
           ) AS changes
    FROM assembly_parts p JOIN firmwares part ON part.id = p.firmware_id
    WHERE p.assembly_id = ${assembly_id}
    ORDER BY p.position`.execute(db);
  return rows;
};

const EligibilityCursor = z.tuple([z.string()]);

/** All devices of one reason, page by page. */
export const listEligibilityDevices = async (
  db: Db,
  choice: Choice,
  { reason, limit, cursor }: { reason: Eligibility; limit: number; cursor?: string | undefined },
): Promise<Page<EligibilityGroup['devices'][number]>> => {
  const after = decodeCursor(EligibilityCursor, cursor);
  const { rows } = await sql<EligibilityGroup['devices'][number]>`
    SELECT external_id, CASE eligibility WHEN 'UPDATE_IN_FLIGHT' THEN other_update_id END AS other_update_id
    FROM (${classifiedDevices(choice)}) c
    WHERE eligibility = ${reason} AND external_id COLLATE "C" > ${after?.[0] ?? ''}
    ORDER BY external_id COLLATE "C"
    LIMIT ${limit + 1}`.execute(db);
  return toPage(rows, limit, (row) => [row.external_id]);
};

const Cursor = z.tuple([z.int32()]);

export interface ExecutionFilter {
  update_id: number;
  status?: ExecutionStatus | undefined;
  /** A reason, without the text after the colon that some have. */
  reason?: string | undefined;
  limit: number;
  cursor?: string | undefined;
}

/** A page of an update's executions has the beginning of what each device said: 500 of them have to fit into an answer. */
const listedDetailLength = 2_000;

const selectExecutions = (db: Db, detail: RawBuilder<string | null> = sql`left(e.detail, ${listedDetailLength})`) =>
  db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .select([
      'e.id',
      'e.update_id',
      'd.kind',
      'd.external_id',
      'e.status',
      'e.reason',
      detail.as('detail'),
      'e.attempt',
      'e.retries',
      'e.is_canary',
      'e.queued_dt',
      'e.sent_dt',
      'e.finished_dt',
      'e.next_attempt_dt',
      'e.late_success_dt',
    ])
    .$narrowType<{ status: ExecutionStatus }>();

export const listExecutions = async (db: Db, { update_id, status, reason, limit, cursor }: ExecutionFilter): Promise<Page<Execution>> => {
  const after = decodeCursor(Cursor, cursor);
  let query = selectExecutions(db).where('e.update_id', '=', update_id);
  if (status) query = query.where('e.status', '=', status);
  if (reason) query = query.where(sql`split_part(e.reason, ': ', 1)`, '=', reason);
  if (after) query = query.where('e.id', '>', after[0]);
  const rows = await query
    .orderBy('e.id')
    .limit(limit + 1)
    .execute();
  return toPage(rows, limit, (row) => [row.id]);
};

export interface DeviceExecutionFilter {
  kind: DeviceKind;
  external_id: string;
  limit: number;
  cursor?: string | undefined;
}

/** A device's own past, the latest first. */
export const listDeviceExecutions = async (
  db: Db,
  { kind, external_id, limit, cursor }: DeviceExecutionFilter,
): Promise<Page<DeviceExecution>> => {
  const after = decodeCursor(Cursor, cursor);
  let query = selectExecutions(db, sql`e.detail`)
    .innerJoin('updates as u', 'u.id', 'e.update_id')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .select(['e.hardware_type', 'f.id as firmware_id', 'f.version as firmware_version'])
    .where('d.kind', '=', kind)
    .where('d.external_id', '=', external_id);
  if (after) query = query.where('e.id', '<', after[0]);
  const rows = await query
    .orderBy('e.id', 'desc')
    .limit(limit + 1)
    .execute();
  return toPage(rows, limit, (row) => [row.id]);
};

export interface Release {
  update_id: number;
  step: number;
  /** How many at most. */
  limit: number;
  /** How many of them may take a place of `maximum_in_progress`; those whose answer is missing have theirs. null: there is no limit. */
  places: number | null;
  /**
   * Only the canary is released: those of it that wait again, and so many new ones, drawn by lot because the first devices are the oldest
   * ones. null: there is no canary, or it has passed.
   */
  newCanaries: number | null;
  chunkSize: number;
  now: Date;
}

/** Releases the executions that wait longest, in chunks, and answers how many. Only while the update is locked. */
export const releaseExecutions = async (trx: Trx, release: Release): Promise<number> => {
  const { update_id, step, limit, places, newCanaries, chunkSize, now } = release;
  const isCanary = newCanaries !== null;
  const canaryOnly = sql`AND (e.is_canary OR e.id IN (
    SELECT n.id FROM update_executions n
    WHERE n.update_id = ${update_id} AND n.status = 'QUEUED' AND n.dispatch_id IS NULL AND n.channel = 'telematics' AND NOT n.is_canary
    ORDER BY hashint4(n.id), n.id
    LIMIT ${newCanaries}
  ))`;
  const due = (which: RawBuilder<unknown>, most: number) => sql`
    SELECT e.id
    FROM update_executions e
    WHERE e.update_id = ${update_id} AND e.status IN ('QUEUED', 'IN_PROGRESS') AND e.dispatch_id IS NULL AND e.channel = 'telematics'
      AND ${which} AND (e.next_attempt_dt IS NULL OR e.next_attempt_dt <= ${now})
      ${isCanary ? canaryOnly : sql``}
    ORDER BY e.next_attempt_dt NULLS FIRST, e.id
    LIMIT ${most}`;
  const { rows } = await sql<{ released: number }>`
    WITH due AS (
      SELECT id, (row_number() OVER () - 1) / ${chunkSize}::integer AS chunk
      FROM (
        (${due(sql`e.is_unanswered`, limit)}) UNION ALL (${due(sql`NOT e.is_unanswered`, Math.min(limit, places ?? limit))})
        -- Those whose answer is missing first: their devices may be at work without our knowing.
        LIMIT ${limit}
      ) e
    ), chunks AS (
      SELECT chunk, count(*) AS commands, nextval(pg_get_serial_sequence('update_dispatches', 'id'))::integer AS dispatch_id
      FROM due GROUP BY chunk
    ), dispatches AS (
      INSERT INTO update_dispatches (id, update_id, step, commands, released_dt)
      OVERRIDING SYSTEM VALUE
      SELECT dispatch_id, ${update_id}, ${step}, commands, ${now}::timestamptz FROM chunks
    ), locked AS (
      -- In the order of ids, as everything that writes many executions: two such statements cannot wait for each other in a circle.
      -- Nothing about dispatch_id, which only this statement sets: with it the planner, who knows nothing yet of executions just
      -- inserted, walks all that wait once for each one due, instead of finding each by its primary key.
      SELECT e.id, due.chunk
      FROM update_executions e JOIN due ON due.id = e.id
      WHERE e.status IN ('QUEUED', 'IN_PROGRESS')
      ORDER BY e.id
      FOR NO KEY UPDATE OF e
    ), released AS (
      UPDATE update_executions e
      -- Without a time of sending until the call begins: until then it can be canceled without the device having heard of it.
      SET dispatch_id = chunks.dispatch_id, next_attempt_dt = NULL, sent_dt = NULL, is_canary = e.is_canary OR ${isCanary}::boolean
      FROM locked JOIN chunks ON chunks.chunk = locked.chunk
      WHERE e.id = locked.id AND e.status IN ('QUEUED', 'IN_PROGRESS')
      RETURNING e.id
    )
    SELECT count(*) AS released FROM released`.execute(trx);
  return rows[0]?.released ?? 0;
};

export interface Remaining {
  hasUnfinished: boolean;
  /** When the next waiting execution may be released: in the past when it waits for the pace only; null when none waits. */
  next_attempt_dt: Date | null;
}

/** What an update still waits for; looks at one row of each kind, however many there are. */
export const findRemaining = async (
  trx: Trx,
  update_id: number,
  now: Date,
  /** null: no device of the update polls. */
  offerTimes: OfferTimes | null,
): Promise<Remaining> => {
  const { rows } = await sql<{ has_unfinished: boolean; next_attempt_dt: Date | null }>`
    SELECT EXISTS (SELECT FROM update_executions WHERE update_id = ${update_id} AND status IN ('QUEUED', 'IN_PROGRESS')) AS has_unfinished,
           least(${offerTimes ? nextOfferDt(update_id, now, offerTimes) : sql`NULL`}, (
             SELECT coalesce(e.next_attempt_dt, ${now}::timestamptz)
             FROM update_executions e
             WHERE e.update_id = ${update_id} AND e.status IN ('QUEUED', 'IN_PROGRESS') AND e.dispatch_id IS NULL
               AND e.channel = 'telematics'
             ORDER BY e.next_attempt_dt NULLS FIRST, e.id LIMIT 1
           )) AS next_attempt_dt`.execute(trx);
  const [row] = rows;
  return { hasUnfinished: row?.has_unfinished ?? false, next_attempt_dt: row?.next_attempt_dt ?? null };
};

/** Which unfinished executions an end is for. */
export type Unfinished = 'waiting' | 'all';

/**
 * Ends executions as CANCELED and answers how many: those that wait and whose device has not heard of the update, or all. One that is
 * being handed to the backend at this moment is asked already. Of those not ended, devices that poll are asked to stop, once.
 */
export const cancelExecutions = async (trx: Trx, update_id: number, which: Unfinished, reason: string, now: Date): Promise<number> => {
  const { rows } = await sql<{ n: number }>`
    WITH chosen AS (
      SELECT id, ${which === 'all' ? sql`true` : waiting} AS ends FROM update_executions
      WHERE update_id = ${update_id} AND ${which === 'all' ? sql`status IN ('QUEUED', 'IN_PROGRESS')` : sql`(${waiting} OR ${stoppable})`}
      ORDER BY id
      FOR UPDATE
    ), ended AS (
      UPDATE update_executions e SET status = 'CANCELED', reason = ${reason}, next_attempt_dt = NULL, finished_dt = ${now}
      FROM chosen WHERE e.id = chosen.id AND chosen.ends AND e.status IN ('QUEUED', 'IN_PROGRESS')
      RETURNING e.id
    ), asked AS (
      UPDATE update_executions e SET cancellation = 'requested', reason = ${transitions.IN_PROGRESS.cancel_requested?.reason}
      -- Not only IN_PROGRESS: one that its device has taken since this statement began is still QUEUED in its eyes.
      FROM chosen WHERE e.id = chosen.id AND NOT chosen.ends AND e.status IN ('QUEUED', 'IN_PROGRESS')
    )
    SELECT count(*) AS n FROM ended`.execute(trx);
  return rows[0]?.n ?? 0;
};

/** Not asked, or asked in vain and waiting for a retry: also in a chunk that nobody has taken to the backend, or an offer not taken. */
const waiting = sql`((dispatch_id IS NULL OR sent_dt IS NULL) AND status IN ('QUEUED', 'IN_PROGRESS'))`;

/** The device polls, is at work, and was not asked to stop before. */
const stoppable = sql`(
  status = 'IN_PROGRESS' AND channel = 'iot' AND dispatch_id IS NOT NULL AND sent_dt IS NOT NULL AND installed_dt IS NULL AND cancellation IS NULL
)`;

export interface Deadlines extends RetryPolicy {
  /** Those still waiting are late, all at once, because all of an update are queued at one time. */
  areQueuedLate: boolean;
  /** Executions sent before are late, unless their device has said since that it is at work. */
  sentBefore: Date;
  /** Executions sent before are late, whatever their device says: at some time even the busiest update ends. */
  givenUpBefore: Date;
  /** Whether there may be another try at all: not in an update that has been stopped. */
  mayRetry: boolean;
}

/** Bounds a step's transaction. */
const maximumExpiredPerStep = 10_000;

/**
 * Ends what has passed its deadline, or gives it another try; answers how many. A device that polls, has said that it is done, and since then
 * that it runs another version, has not been silent: that is a mismatch (confirmation.ts).
 */
export const expireExecutions = async (trx: Trx, update_id: number, deadlines: Deadlines, now: Date): Promise<number> => {
  const { areQueuedLate, sentBefore, givenUpBefore, number_of_retries, retry_failure_types, mayRetry } = deadlines;
  const overdue = { queued: transitions.QUEUED.overdue, inProgress: transitions.IN_PROGRESS.overdue };
  const { mismatched } = transitions.IN_PROGRESS;
  const retriesLeft = (end: FailureType) => (mayRetry && retry_failure_types.includes(end) ? number_of_retries : 0);
  const isAtWork = sql`status = 'IN_PROGRESS' AND dispatch_id IS NOT NULL AND sent_dt IS NOT NULL`;
  const late = [
    // QUEUED too: a chunk whose message was lost for good.
    sql`(
      status IN ('QUEUED', 'IN_PROGRESS') AND dispatch_id IS NOT NULL AND sent_dt < ${sentBefore}
      AND (progress_dt IS NULL OR progress_dt < ${sentBefore} OR sent_dt < ${givenUpBefore})
    )`,
  ];
  if (areQueuedLate) late.push(waiting);
  const { rows } = await sql<{ n: number }>`
    WITH overdue AS (
      SELECT id, retries, ${isAtWork} AS is_at_work,
             ${isAtWork} AND installed_dt IS NOT NULL AND EXISTS (
               SELECT FROM device_firmwares r
               WHERE r.device_id = e.device_id AND r.hardware_type = e.hardware_type AND r.observed_dt >= e.installed_dt
             ) AS is_mismatched
      FROM update_executions e
      WHERE update_id = ${update_id} AND (${sql.join(late, sql` OR `)})
      ORDER BY id
      LIMIT ${maximumExpiredPerStep}
      FOR UPDATE
    ), late AS (
      SELECT id, is_mismatched,
             is_at_work AND retries < CASE WHEN is_mismatched THEN ${retriesLeft('FAILED')}::integer ELSE ${retriesLeft('TIMED_OUT')}::integer END AS again
      FROM overdue
    ), moved AS (
      UPDATE update_executions e
      SET status = CASE WHEN late.again THEN 'IN_PROGRESS' WHEN late.is_mismatched THEN ${mismatched?.to} ELSE 'TIMED_OUT' END,
          reason = CASE
            WHEN late.again AND late.is_mismatched THEN ${`${reasons.retry}: ${mismatched?.reason}`}
            WHEN late.again THEN ${`${reasons.retry}: ${overdue.inProgress?.reason}`}
            WHEN late.is_mismatched THEN ${mismatched?.reason}
            WHEN e.status = 'QUEUED' OR e.dispatch_id IS NULL OR e.sent_dt IS NULL THEN ${overdue.queued?.reason}
            ELSE ${overdue.inProgress?.reason}
          END,
          dispatch_id = CASE WHEN late.again THEN NULL ELSE e.dispatch_id END,
          is_unanswered = e.is_unanswered AND NOT late.again,
          attempt = CASE WHEN late.again THEN e.attempt + 1 ELSE e.attempt END,
          retries = CASE WHEN late.again THEN e.retries + 1 ELSE e.retries END,
          next_attempt_dt = CASE WHEN late.again THEN ${now}::timestamptz + make_interval(secs => ${retryDelay(sql`e.retries`)}) END,
          finished_dt = CASE WHEN late.again THEN NULL ELSE ${now}::timestamptz END
      FROM late WHERE e.id = late.id AND e.status IN ('QUEUED', 'IN_PROGRESS')
      RETURNING e.id
    )
    SELECT count(*) AS n FROM moved`.execute(trx);
  return rows[0]?.n ?? 0;
};

/** {@link retryDelaySeconds} of every number of retries an update can have. */
const retryDelay = (retries: RawBuilder<unknown>) =>
  sql`(${Array.from({ length: 11 }, (_, n) => retryDelaySeconds(n))}::integer[])[${retries} + 1]`;

export interface ReportedExecution extends RetryPolicy {
  id: number;
  status: ExecutionStatus;
  queued_dt: Date;
  sent_dt: Date | null;
  /** Of a device that polls: when it said that it has installed the firmware. */
  installed_dt: Date | null;
  cancellation: 'requested' | 'refused' | null;
  /** Whether the device has been asked and has not been given up: not while another try waits. */
  is_at_work: boolean;
  retries: number;
  wanted_version: string;
  update_status: UpdateStatus;
}

export interface ExecutionSubject {
  device_id: number | null;
  hardware_type: string;
  /** The execution a report names; null: the device's latest one for this hardware type. */
  execution_id: number | null;
}

/**
 * The execution that each report is about, in the reports' order, in one statement. Unfinished ones are locked, and are answered as they are
 * once nobody else is at them: a report must not be judged by a status that a deadline is just ending.
 */
export const lockReportedExecutions = async (
  trx: Trx,
  subjects: readonly ExecutionSubject[],
): Promise<(ReportedExecution | undefined)[]> => {
  const { rows } = await sql<ReportedExecution & { id: number | null }>`
    WITH subjects AS (
      SELECT * FROM unnest(
        ${subjects.map((s) => s.device_id)}::integer[],
        ${subjects.map((s) => s.hardware_type)}::text[],
        ${subjects.map((s) => s.execution_id)}::integer[]
      ) WITH ORDINALITY AS s (device_id, hardware_type, execution_id, ordinal)
    ), found AS MATERIALIZED (
      SELECT s.ordinal, e.id, e.status IN ('QUEUED', 'IN_PROGRESS') AS is_unfinished
      FROM subjects s CROSS JOIN LATERAL (
        -- Two branches, so that each uses its own index. The latest one is the unfinished one, if there is any.
        SELECT id, status FROM update_executions x
        WHERE x.id = s.execution_id AND x.device_id = s.device_id AND x.hardware_type = s.hardware_type
        UNION ALL
        (
          SELECT id, status FROM update_executions x
          WHERE s.execution_id IS NULL AND x.device_id = s.device_id AND x.hardware_type = s.hardware_type
          ORDER BY x.id DESC LIMIT 1
        )
      ) e
    ), locked AS (
      -- As it is when nobody else is at it any more. In the order of ids, as everything that writes many executions.
      SELECT * FROM update_executions WHERE id IN (SELECT id FROM found WHERE is_unfinished) ORDER BY id FOR NO KEY UPDATE
    ), executions AS (
      SELECT * FROM locked
      UNION ALL
      SELECT * FROM update_executions WHERE id IN (SELECT id FROM found WHERE NOT is_unfinished)
    )
    SELECT e.id, e.status, e.queued_dt, e.sent_dt, e.installed_dt, e.cancellation,
           e.dispatch_id IS NOT NULL AND e.sent_dt IS NOT NULL AS is_at_work, e.retries, f.version AS wanted_version,
           u.status AS update_status, u.number_of_retries, u.retry_failure_types
    FROM subjects s
    LEFT JOIN found ON found.ordinal = s.ordinal
    LEFT JOIN executions e ON e.id = found.id
    LEFT JOIN updates u ON u.id = e.update_id
    LEFT JOIN firmwares f ON f.id = u.firmware_id
    ORDER BY s.ordinal`.execute(trx);
  return rows.map((row) => (row.id === null ? undefined : row));
};

/** Two times what a device's words are cut to when they come: 50 lines of 512 characters. */
const longestDetail = 2 * 50 * 513;

export interface ExecutionMove {
  id: number;
  status: ExecutionStatus;
  reason: string | null;
  detail: string | null;
  effect: Transition['effect'] | null;
  /** When there is another try; null: there is none. */
  retry_dt: Date | null;
}

/** Moves executions, locked by {@link lockReportedExecutions}, that are unfinished: a finished one never changes (design.md G3). */
export const moveExecutions = async (trx: Trx, moves: readonly ExecutionMove[], now: Date): Promise<void> => {
  if (moves.length === 0) return;
  await sql`
    WITH moves AS (
      SELECT m.* FROM unnest(
        ${moves.map((m) => m.id)}::integer[],
        ${moves.map((m) => m.status)}::text[],
        ${moves.map((m) => m.reason)}::text[],
        ${moves.map((m) => m.detail)}::text[],
        ${moves.map((m) => m.effect)}::text[],
        ${moves.map((m) => m.retry_dt)}::timestamptz[]
      ) AS m (id, status, reason, detail, effect, retry_dt)
    )
    UPDATE update_executions e
    SET status = m.status, reason = m.reason, next_attempt_dt = m.retry_dt,
        -- What a device that polls has said on its way belongs to how it has ended, unless all is well.
        detail = CASE
          WHEN e.progress_dt IS NULL OR m.status = 'SUCCEEDED' THEN m.detail
          ELSE left(concat_ws(E'\n', nullif(m.detail, ''), e.detail), ${longestDetail}::integer)
        END,
        dispatch_id = CASE WHEN m.retry_dt IS NULL THEN e.dispatch_id END,
        is_unanswered = e.is_unanswered AND m.retry_dt IS NULL,
        attempt = CASE WHEN m.retry_dt IS NULL THEN e.attempt ELSE e.attempt + 1 END,
        retries = CASE WHEN m.retry_dt IS NULL THEN e.retries ELSE e.retries + 1 END,
        installed_dt = CASE m.effect WHEN 'prove' THEN ${now}::timestamptz ELSE e.installed_dt END,
        progress_dt = CASE m.effect WHEN 'prove' THEN ${now}::timestamptz ELSE e.progress_dt END,
        cancellation = CASE m.effect WHEN 'go_on' THEN 'refused' ELSE e.cancellation END,
        finished_dt = CASE WHEN m.status = 'IN_PROGRESS' THEN NULL ELSE ${now}::timestamptz END
    FROM moves m
    WHERE e.id = m.id AND e.status IN ('QUEUED', 'IN_PROGRESS')`.execute(trx);
};

/** Notes that the version wanted was seen after all; once for each execution. */
export const markLateSuccesses = async (trx: Trx, ids: readonly number[], now: Date): Promise<void> => {
  if (ids.length === 0) return;
  await trx
    .updateTable('update_executions')
    .set({ late_success_dt: now })
    .where('id', 'in', ids)
    .where('late_success_dt', 'is', null)
    .where('status', 'in', ['FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED'])
    .execute();
};
