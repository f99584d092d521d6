import { type RawBuilder, sql } from 'kysely';
import type { DeviceKind } from '../fleet/device.ts';
import {
  type ExecutionEvent,
  type ExecutionStatus,
  longestDetail,
  type Move,
  maximumRetries,
  type Phase,
  phases,
  type RetryPolicy,
  retryDelaySeconds,
  retryReason,
  type Transition,
  transitions,
} from './execution.ts';
import { unfinished, unsentTries } from './predicates.ts';
import type { UpdateStatus } from './update-status.ts';

const literal = (text: string | null | undefined) => (text === null || text === undefined ? sql`NULL::text` : sql.lit(text));

const toRow = (event: ExecutionEvent, from: Phase, { to, status, reason, effect, mayRetry }: Transition) =>
  sql`(${sql.join([
    ...[literal(event), literal(from), literal(to), literal(status)],
    ...[sql.lit(reason === undefined), literal(reason), literal(effect), sql.lit(mayRetry === true)],
  ])})`;

/** The transitions of these events as rows. A phase and an event without a transition have no row, so that the execution does not move. */
const transitionsOf = (events: readonly ExecutionEvent[]) => {
  const rows = phases.flatMap((from) =>
    events.flatMap((event) => {
      const transition = transitions[from][event];
      return transition ? [toRow(event, from, transition)] : [];
    }),
  );
  return sql`(
    SELECT * FROM (VALUES ${sql.join(rows)}) AS v (event, from_phase, to_phase, to_status, keeps_reason, to_reason, effect, may_retry)
  )`;
};

/** How often an update tries again, as SQL. */
export interface RetryColumns {
  number_of_retries: RawBuilder<unknown>;
  failure_types: RawBuilder<unknown>;
  /** Whether there may be another try at all: not in an update that has been stopped. */
  may_retry: RawBuilder<unknown>;
}

/**
 * The moves of many executions, as `moveOf` gives that of one. A relation `m`, with all columns of `chosen`.
 *
 * @param chosen executions that this statement has locked, and what has happened to each: `id`, `phase`, `event`
 */
export const movesOf = (chosen: string, events: readonly ExecutionEvent[]) => sql`(
  SELECT c.*, t.to_phase, t.to_status, t.keeps_reason, t.to_reason, t.effect
  FROM ${sql.ref(chosen)} c JOIN ${transitionsOf(events)} t ON t.event = c.event AND t.from_phase = c.phase
) AS m`;

/**
 * The same, but where the update grants a retry, the move is to another try instead of the end: `retry_reason` and `retry_dt` are set then.
 *
 * @param chosen has `retries` as well: how many tries were used up
 */
export const movesOrRetriesOf = (chosen: string, events: readonly ExecutionEvent[], retry: RetryColumns, now: Date) => sql`(
  SELECT c.*, t.to_phase, t.to_status, t.keeps_reason, t.to_reason, t.effect,
         CASE WHEN tried.again THEN ${retryReason('')} || ended.to_reason END AS retry_reason,
         CASE WHEN tried.again THEN ${now}::timestamptz + make_interval(secs => (${retryDelays}::integer[])[c.retries + 1]) END AS retry_dt
  FROM ${sql.ref(chosen)} c
  JOIN ${transitionsOf(events)} ended ON ended.event = c.event AND ended.from_phase = c.phase
  CROSS JOIN LATERAL (
    SELECT ended.may_retry AND ${retry.may_retry} AND c.retries < ${retry.number_of_retries} AND ended.to_status = ANY (${retry.failure_types}) AS again
  ) tried
  JOIN ${transitionsOf([...events, 'retried'])} t
    ON t.event = CASE WHEN tried.again THEN 'retried' ELSE c.event END AND t.from_phase = c.phase
) AS m`;

const retryDelays = Array.from({ length: maximumRetries + 1 }, (_, retries) => retryDelaySeconds(retries));

/** Columns of `m` that a move writes to its execution; a missing one writes nothing. */
interface Brought {
  /** In place of the reason in the table. */
  reason?: RawBuilder<unknown>;
  /** What the device or the backend said. */
  detail?: RawBuilder<unknown>;
  next_attempt_dt?: RawBuilder<unknown>;
  dispatch_id?: RawBuilder<unknown>;
  is_canary?: RawBuilder<unknown>;
}

/**
 * The one statement that moves executions, used by everything that moves them. It says what each phase and each effect writes.
 *
 * @param moves a relation named `m`: executions that this transaction has locked, with the transition of each (`id`, `to_phase`,
 * `to_status`, `keeps_reason`, `to_reason`, `effect`), by {@link movesOf} or one by one.
 */
export const moved = (moves: RawBuilder<unknown>, now: Date, brought: Brought = {}) => {
  const { reason = sql`NULL::text`, detail = sql`NULL::text`, next_attempt_dt = sql`NULL::timestamptz` } = brought;
  const { dispatch_id = sql`NULL::integer`, is_canary = sql`false` } = brought;
  return sql`
    UPDATE update_executions e
    SET phase = m.to_phase,
        status = coalesce(m.to_status, e.status),
        reason = CASE WHEN m.keeps_reason THEN e.reason ELSE coalesce(${reason}, m.to_reason) END,
        -- Earlier words of the device are kept with the end, unless it is a success.
        detail = CASE
          WHEN m.keeps_reason THEN e.detail
          WHEN m.to_phase = 'ended' AND m.to_status <> 'SUCCEEDED' AND ${detail} IS NULL THEN e.detail
          WHEN e.progress_dt IS NULL OR m.to_status = 'SUCCEEDED' THEN ${detail}
          ELSE nullif(left(concat_ws(E'\n', ${detail}, e.detail), ${longestDetail}::integer), '')
        END,
        dispatch_id = CASE m.to_phase WHEN 'waiting' THEN NULL ELSE coalesce(${dispatch_id}, e.dispatch_id) END,
        -- A call that is repeated after a crash keeps the time of the first one: whatever a device has said since is an answer.
        sent_dt = CASE
          WHEN m.effect = 'hand_over' OR (m.effect = 'hold_back' AND NOT e.is_unanswered) THEN NULL
          WHEN m.effect = 'send' THEN coalesce(e.sent_dt, ${now})
          ELSE e.sent_dt
        END,
        is_unanswered = CASE m.effect
          WHEN 'send' THEN e.is_unanswered OR e.sent_dt IS NOT NULL
          WHEN 'ask_again' THEN true
          WHEN 'answer' THEN false WHEN 'retry' THEN false
          ELSE e.is_unanswered
        END,
        -- Another try that was planned and not sent is taken off again.
        attempt = e.attempt + CASE WHEN m.effect = 'retry' THEN 1 WHEN m.to_phase = 'ended' THEN - (${unsentTries}) ELSE 0 END,
        retries = e.retries + CASE WHEN m.effect = 'retry' THEN 1 WHEN m.to_phase = 'ended' THEN - (${unsentTries}) ELSE 0 END,
        next_attempt_dt = CASE m.to_phase WHEN 'waiting' THEN ${next_attempt_dt} END,
        progress_dt = CASE WHEN m.to_phase = 'installed' THEN ${now}::timestamptz WHEN m.effect = 'hand_over' THEN NULL ELSE e.progress_dt END,
        installed_dt = CASE
          WHEN m.to_phase = 'installed' THEN ${now}::timestamptz
          WHEN m.to_phase IN ('waiting', 'released', 'calling', 'offered') THEN NULL
          ELSE e.installed_dt
        END,
        cancellation = CASE
          WHEN m.to_phase = 'canceling' THEN 'requested'
          WHEN m.effect = 'go_on' THEN 'refused'
          WHEN m.to_phase IN ('waiting', 'released', 'calling', 'offered') THEN NULL
          ELSE e.cancellation
        END,
        is_canary = m.effect IS DISTINCT FROM 'withdraw' AND (e.is_canary OR ${is_canary}),
        finished_dt = CASE m.to_phase WHEN 'ended' THEN ${now}::timestamptz END
    FROM ${moves}
    WHERE e.id = m.id`;
};

export interface ReportedExecution extends RetryPolicy {
  id: number;
  status: ExecutionStatus;
  phase: Phase;
  queued_dt: Date;
  sent_dt: Date | null;
  /** Of a device that polls: when it said that it has installed the firmware. */
  installed_dt: Date | null;
  /** Which command this is or will be. */
  attempt: number;
  /** Whether the backend may have taken the last command although its answer is missing. */
  is_unanswered: boolean;
  retries: number;
  wanted_version: string;
  update_status: UpdateStatus;
}

export interface ExecutionSubject {
  kind: DeviceKind;
  external_id: string;
  hardware_type: string;
  /** The execution a report names; undefined: the device's latest one for this hardware type. */
  execution_id?: number | undefined;
}

export type ReportedRow = { [Column in keyof ReportedExecution]: Column extends 'id' ? number | null : ReportedExecution[Column] };

/**
 * The execution that each report is about, in the order of the reports: rows for {@link toReportedExecutions}. Unfinished executions are
 * locked first and read then, so that no report is judged by a status that a deadline is changing at this moment.
 */
export const lockReportedExecutions = (subjects: readonly ExecutionSubject[]) => sql<ReportedRow>`
    WITH subjects AS (
      SELECT s.ordinal, d.id AS device_id, s.hardware_type, s.execution_id
      FROM unnest(
        ${subjects.map((s) => s.kind)}::text[],
        ${subjects.map((s) => s.external_id)}::text[],
        ${subjects.map((s) => s.hardware_type)}::text[],
        ${subjects.map((s) => s.execution_id ?? null)}::integer[]
      ) WITH ORDINALITY AS s (kind, external_id, hardware_type, execution_id, ordinal)
      LEFT JOIN devices d ON d.kind = s.kind AND d.external_id = s.external_id
    ), found AS MATERIALIZED (
      SELECT s.ordinal, e.id, ${unfinished} AS is_unfinished
      FROM subjects s CROSS JOIN LATERAL (
        -- Two branches, so that each uses its own index. If there is an unfinished execution, it is the latest one.
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
      -- Read again after the lock is taken. In the order of ids, like all statements that write many executions.
      SELECT * FROM update_executions WHERE id IN (SELECT id FROM found WHERE is_unfinished) ORDER BY id FOR NO KEY UPDATE
    ), executions AS (
      SELECT * FROM locked
      UNION ALL
      SELECT * FROM update_executions WHERE id IN (SELECT id FROM found WHERE NOT is_unfinished)
    )
    SELECT e.id, e.status, e.phase, e.queued_dt, e.sent_dt, e.installed_dt, e.attempt, e.is_unanswered, e.retries, f.version AS wanted_version,
           u.status AS update_status, u.number_of_retries, u.retry_failure_types
    FROM subjects s
    LEFT JOIN found ON found.ordinal = s.ordinal
    LEFT JOIN executions e ON e.id = found.id
    LEFT JOIN updates u ON u.id = e.update_id
    LEFT JOIN firmwares f ON f.id = u.firmware_id
    ORDER BY s.ordinal`;

export const toReportedExecutions = (rows: readonly ReportedRow[]): (ReportedExecution | undefined)[] =>
  rows.map((row) => (row.id === null ? undefined : (row as ReportedExecution)));

export interface ExecutionMove {
  id: number;
  move: Move;
  /** What the device said. */
  detail: string | null;
}

/** Moves executions that {@link lockReportedExecutions} has locked, each only from the phase in which it was found. No moves: no statement. */
export const moveExecutions = (moves: readonly ExecutionMove[], now: Date): RawBuilder<unknown>[] => {
  if (moves.length === 0) return [];
  const each = <T>(of: (move: ExecutionMove) => T) => moves.map(of);
  const statement = sql`
    ${moved(
      sql`unnest(
        ${each(({ id }) => id)}::integer[],
        ${each(({ move }) => move.to)}::text[],
        ${each(({ move }) => move.status ?? null)}::text[],
        ${each(({ move }) => move.reason === undefined)}::boolean[],
        ${each(({ move }) => move.reason ?? null)}::text[],
        ${each(({ move }) => move.effect ?? null)}::text[],
        ${each(({ detail }) => detail || null)}::text[],
        ${each(({ move }) => move.next_attempt_dt)}::timestamptz[],
        ${each(({ move }) => move.from)}::text[]
      ) AS m (id, to_phase, to_status, keeps_reason, to_reason, effect, detail, next_attempt_dt, from_phase)`,
      now,
      { detail: sql`m.detail`, next_attempt_dt: sql`m.next_attempt_dt` },
    )} AND e.phase = m.from_phase`;
  return [statement];
};
