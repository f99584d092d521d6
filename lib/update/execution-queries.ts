import { sql } from 'kysely';
import * as z from 'zod';
import type { Db, Trx } from '../db/database.ts';
import { decodeCursor, type Page, toPage } from '../http/page.ts';
import { classifiedDevices, type WantedFirmware } from './eligibility.ts';
import { type Execution, type ExecutionStatus, reasons } from './execution.ts';
import type { PaceWindow } from './pace.ts';
import { kindOf, type Targets } from './update.ts';
import type { Planned } from './update-queries.ts';

export interface NewExecutions {
  update_id: number;
  targets: Targets;
  firmware: WantedFirmware;
  allow_downgrade: boolean;
  now: Date;
}

/**
 * Queues one execution per eligible device and notes who is left out and why, in one statement whatever their number.
 * Two requests at one moment cannot both take a device: the unique index decides, and the loser counts it as UPDATE_IN_FLIGHT.
 * Inserted in the order of device ids, so that two requests cannot wait for each other in a circle.
 */
export const insertExecutions = async (
  trx: Trx,
  { update_id, targets, firmware, allow_downgrade, now }: NewExecutions,
): Promise<Planned> => {
  const { rows } = await sql<{ eligibility: keyof Planned; n: number }>`
    WITH classified AS MATERIALIZED (
      ${classifiedDevices(targets, firmware, allow_downgrade)}
    ), inserted AS (
      INSERT INTO update_executions (update_id, device_id, hardware_type, status, reason, queued_dt, finished_dt)
      SELECT ${update_id}::integer, device_id, ${firmware.hardware_type},
             CASE eligibility WHEN 'ELIGIBLE' THEN 'QUEUED' ELSE 'SUCCEEDED' END,
             CASE eligibility WHEN 'ELIGIBLE' THEN NULL ELSE ${reasons.alreadyOnTarget} END,
             ${now}::timestamptz,
             CASE eligibility WHEN 'ELIGIBLE' THEN NULL ELSE ${now}::timestamptz END
      FROM classified
      WHERE eligibility IN ('ELIGIBLE', 'ALREADY_ON_TARGET')
      ORDER BY device_id
      ON CONFLICT (device_id, hardware_type) WHERE status IN ('QUEUED', 'IN_PROGRESS') DO NOTHING
      RETURNING device_id
    ), outcome AS (
      SELECT c.external_id, i.device_id IS NOT NULL AS takes_part,
             CASE WHEN i.device_id IS NULL AND c.eligibility = 'ELIGIBLE' THEN 'UPDATE_IN_FLIGHT' ELSE c.eligibility END AS eligibility
      FROM classified c
      LEFT JOIN inserted i ON i.device_id = c.device_id
    ), excluded AS (
      INSERT INTO update_exclusions (update_id, kind, external_id, reason)
      SELECT ${update_id}::integer, ${kindOf(targets)}, external_id, eligibility
      FROM outcome
      WHERE NOT takes_part
    )
    SELECT eligibility, count(*) AS n FROM outcome GROUP BY eligibility`.execute(trx);
  return Object.fromEntries(rows.map(({ eligibility, n }) => [eligibility, n]));
};

const Cursor = z.tuple([z.int()]);

export interface ExecutionFilter {
  update_id: number;
  status?: ExecutionStatus | undefined;
  limit: number;
  cursor?: string | undefined;
}

export const listExecutions = async (db: Db, { update_id, status, limit, cursor }: ExecutionFilter): Promise<Page<Execution>> => {
  const after = decodeCursor(Cursor, cursor);
  let query = db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .select([
      'e.id',
      'e.update_id',
      'd.kind',
      'd.external_id',
      'e.status',
      'e.reason',
      'e.detail',
      'e.attempt',
      'e.queued_dt',
      'e.sent_dt',
      'e.finished_dt',
      'e.next_attempt_dt',
    ])
    .$narrowType<{ status: ExecutionStatus }>()
    .where('e.update_id', '=', update_id);
  if (status) query = query.where('e.status', '=', status);
  if (after) query = query.where('e.id', '>', after[0]);
  const rows = await query
    .orderBy('e.id')
    .limit(limit + 1)
    .execute();
  return toPage(rows, limit, (row) => [row.id]);
};

export interface Release {
  update_id: number;
  step: number;
  window: PaceWindow;
  maximum_in_progress: number | null;
  chunkSize: number;
  /** So many at most in one step, which bounds what a step does. */
  maximumPerStep: number;
  now: Date;
}

/**
 * Releases as many waiting executions as the pace allows, in chunks, and answers how many. Only while the update is locked.
 *
 * What counts against the pace are commands: those of chunks not yet answered, and those of calls begun within the window. So the
 * pace holds at the backend too, however long a chunk waits in the queue (design.md G7).
 */
export const releaseExecutions = async (
  trx: Trx,
  { update_id, step, window, maximum_in_progress, chunkSize, maximumPerStep, now }: Release,
): Promise<number> => {
  const { rows } = await sql<{ released: number }>`
    WITH allowance AS (
      SELECT least(
        ${maximumPerStep}::bigint,
        ${window.maximumCommands} - (
          SELECT coalesce(sum(commands), 0) FROM update_dispatches
          WHERE update_id = ${update_id}
            AND (answered_dt IS NULL OR sent_dt > ${now}::timestamptz - make_interval(secs => ${window.seconds}))
        ),
        ${maximum_in_progress}::bigint - (
          SELECT count(*) FROM update_executions
          WHERE update_id = ${update_id} AND (status = 'IN_PROGRESS' OR (status = 'QUEUED' AND dispatch_id IS NOT NULL))
        )
      ) AS commands
    ), due AS (
      SELECT e.id, (row_number() OVER (ORDER BY e.next_attempt_dt NULLS FIRST, e.id) - 1) / ${chunkSize}::integer AS chunk
      FROM (
        SELECT e.id, e.next_attempt_dt
        FROM update_executions e
        JOIN devices d ON d.id = e.device_id AND d.channel = 'telematics'
        WHERE e.update_id = ${update_id} AND e.status = 'QUEUED' AND e.dispatch_id IS NULL
          AND (e.next_attempt_dt IS NULL OR e.next_attempt_dt <= ${now})
        ORDER BY e.next_attempt_dt NULLS FIRST, e.id
        LIMIT greatest(0, (SELECT commands FROM allowance))
      ) e
    ), chunks AS (
      SELECT chunk, count(*) AS commands, nextval(pg_get_serial_sequence('update_dispatches', 'id'))::integer AS dispatch_id
      FROM due GROUP BY chunk
    ), dispatches AS (
      INSERT INTO update_dispatches (id, update_id, step, commands, released_dt)
      OVERRIDING SYSTEM VALUE
      SELECT dispatch_id, ${update_id}, ${step}, commands, ${now}::timestamptz FROM chunks
    ), released AS (
      UPDATE update_executions e
      SET dispatch_id = chunks.dispatch_id, next_attempt_dt = NULL
      FROM due JOIN chunks ON chunks.chunk = due.chunk
      WHERE e.id = due.id AND e.status = 'QUEUED' AND e.dispatch_id IS NULL
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
export const findRemaining = async (trx: Trx, update_id: number, now: Date): Promise<Remaining> => {
  const { rows } = await sql<{ has_unfinished: boolean; next_attempt_dt: Date | null }>`
    SELECT EXISTS (SELECT FROM update_executions WHERE update_id = ${update_id} AND status IN ('QUEUED', 'IN_PROGRESS')) AS has_unfinished,
           (
             SELECT coalesce(e.next_attempt_dt, ${now}::timestamptz)
             FROM update_executions e JOIN devices d ON d.id = e.device_id AND d.channel = 'telematics'
             WHERE e.update_id = ${update_id} AND e.status = 'QUEUED' AND e.dispatch_id IS NULL
             ORDER BY e.next_attempt_dt NULLS FIRST, e.id LIMIT 1
           ) AS next_attempt_dt`.execute(trx);
  const [row] = rows;
  return { hasUnfinished: row?.has_unfinished ?? false, next_attempt_dt: row?.next_attempt_dt ?? null };
};

export interface ReportedExecution {
  id: number;
  status: ExecutionStatus;
  queued_dt: Date;
  sent_dt: Date | null;
  wanted_version: string;
}

export interface ExecutionSubject {
  device_id: number | null;
  hardware_type: string;
  /** The execution a report names; null: the device's unfinished one for this hardware type. */
  execution_id: number | null;
}

/** The execution that each report is about, in the reports' order, in one statement. */
export const listReportedExecutions = async (
  trx: Trx,
  subjects: readonly ExecutionSubject[],
): Promise<(ReportedExecution | undefined)[]> => {
  const { rows } = await sql<ReportedExecution & { id: number | null }>`
    SELECT e.id, e.status, e.queued_dt, e.sent_dt, f.version AS wanted_version
    FROM unnest(
      ${subjects.map((s) => s.device_id)}::integer[],
      ${subjects.map((s) => s.hardware_type)}::text[],
      ${subjects.map((s) => s.execution_id)}::integer[]
    ) WITH ORDINALITY AS s (device_id, hardware_type, execution_id, ordinal)
    LEFT JOIN LATERAL (
      -- Two branches, so that each uses its own index.
      SELECT * FROM update_executions x
      WHERE x.id = s.execution_id AND x.device_id = s.device_id AND x.hardware_type = s.hardware_type
      UNION ALL
      SELECT * FROM update_executions x
      WHERE s.execution_id IS NULL AND x.device_id = s.device_id AND x.hardware_type = s.hardware_type
        AND x.status IN ('QUEUED', 'IN_PROGRESS')
    ) e ON true
    LEFT JOIN updates u ON u.id = e.update_id
    LEFT JOIN firmwares f ON f.id = u.firmware_id
    ORDER BY s.ordinal`.execute(trx);
  return rows.map((row) => (row.id === null ? undefined : row));
};

export interface ExecutionMove {
  id: number;
  status: ExecutionStatus;
  reason: string | null;
  detail: string | null;
}

/**
 * Moves executions that are still unfinished; answers the ids of those that moved. A finished one never changes (design.md G3).
 */
export const moveExecutions = async (trx: Trx, moves: readonly ExecutionMove[], now: Date): Promise<ReadonlySet<number>> => {
  if (moves.length === 0) return new Set();
  const { rows } = await sql<{ id: number }>`
    UPDATE update_executions e
    SET status = m.status, reason = m.reason, detail = m.detail, next_attempt_dt = NULL,
        finished_dt = CASE WHEN m.status = 'IN_PROGRESS' THEN NULL ELSE ${now}::timestamptz END
    FROM unnest(
      ${moves.map((m) => m.id)}::integer[],
      ${moves.map((m) => m.status)}::text[],
      ${moves.map((m) => m.reason)}::text[],
      ${moves.map((m) => m.detail)}::text[]
    ) AS m (id, status, reason, detail)
    WHERE e.id = m.id AND e.status IN ('QUEUED', 'IN_PROGRESS')
    RETURNING e.id`.execute(trx);
  return new Set(rows.map(({ id }) => id));
};
