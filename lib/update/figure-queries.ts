import { type RawBuilder, sql } from 'kysely';
import type { Db, Trx } from '../db/database.ts';
import { noCounts } from './execution.ts';
import type { Counts, UpdateDetail } from './update.ts';

/** Counts an update's executions by status; a status without executions is missing. Reads an index entry of every execution. */
export const countsOf = (update_id: RawBuilder<unknown>) => sql<Partial<Counts>>`(
  SELECT coalesce(jsonb_object_agg(c.status, c.n), '{}')
  FROM (SELECT e.status, count(*) AS n FROM update_executions e WHERE e.update_id = ${update_id} GROUP BY e.status) c
)`;

/** The counts that are kept when an update is resumed: from then on, rules that pause judge only what was added to these. */
export const getJudgedCounts = async (db: Db, id: number): Promise<Counts> => {
  const of = sql`${id}`;
  const row = await db.selectNoFrom([countsOf(of).as('counts'), lateCountsOf(of).as('late')]).executeTakeFirstOrThrow();
  return judgedCounts(row.counts, row.late);
};

/**
 * Counts, by status, the failures after which the device was seen running the version wanted; no stop rule counts them as failures. Reads
 * nothing when there are none.
 */
export const lateCountsOf = (update_id: RawBuilder<unknown>, which: RawBuilder<unknown> = sql`true`) => sql<Partial<Counts>>`(
  SELECT coalesce(jsonb_object_agg(c.status, c.n), '{}')
  FROM (
    SELECT e.status, count(*) AS n FROM update_executions e
    WHERE e.update_id = ${update_id} AND e.status IN ('FAILED', 'TIMED_OUT', 'REJECTED') AND e.late_success_dt IS NOT NULL AND ${which}
      AND EXISTS (SELECT FROM update_late_success_counts l WHERE l.update_id = ${update_id})
    GROUP BY e.status
  ) c
)`;

/** Executions as stop rules judge them: a failure that is followed by proof is a success. */
export const judgedCounts = (counts: Partial<Counts>, late: Partial<Counts>): Counts => {
  const judged = { ...noCounts(), ...counts };
  for (const [status, n] of Object.entries(late) as [keyof Counts, number][]) {
    judged[status] -= n;
    judged.SUCCEEDED += n;
  }
  return judged;
};

/** How many late successes an update has. {@link noteLateSuccesses} keeps the count, so that reading it is cheap. */
export const lateSuccessesOf = (update_id: RawBuilder<unknown>) => sql<number>`(
  SELECT coalesce(sum(l.executions), 0) FROM update_late_success_counts l WHERE l.update_id = ${update_id}
)`;

/**
 * Notes late successes: executions that had failed before their device was seen running the version wanted. Each is noted and counted once.
 * The counts are spread over shards and written in the order of updates, so that reports seldom wait for each other, and never in a circle.
 */
export const noteLateSuccesses = (ids: readonly number[], now: Date): RawBuilder<unknown>[] => {
  if (ids.length === 0) return [];
  const statement = sql`
    WITH noted AS (
      UPDATE update_executions SET late_success_dt = ${now}
      WHERE id = ANY (${ids}::integer[]) AND late_success_dt IS NULL AND status IN ('FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED')
      RETURNING update_id
    )
    INSERT INTO update_late_success_counts AS counts (update_id, shard, executions)
    SELECT update_id, pg_backend_pid() % 8, count(*) FROM noted GROUP BY update_id ORDER BY update_id
    ON CONFLICT ON CONSTRAINT update_late_success_counts_pkey DO UPDATE SET executions = counts.executions + excluded.executions`;
  return [statement];
};

/** Figures that are final once the last execution has ended. */
export interface FinalFigures {
  reasons: UpdateDetail['reasons'];
  /** null: none of the executions belongs to a canary. */
  canary_counts: Partial<Counts> | null;
  backend_errors: { error: string; calls: number; last_dt: string }[];
}

const textsPerReason = 5;
/** Characters kept of what a device said: its words may be long, and the beginning shows what they are about. */
const textLength = 500;

const reasonsOf = (update_id: RawBuilder<unknown>) => sql`(
  SELECT coalesce(jsonb_agg(r ORDER BY r.count DESC, r.status, r.reason), '[]') FROM (
    SELECT status, reason, sum(n) AS count,
           coalesce(
             jsonb_agg(jsonb_build_object('text', text, 'count', n) ORDER BY rank) FILTER (WHERE rank <= ${textsPerReason} AND text IS NOT NULL),
             '[]'
           ) AS texts
    FROM (
      SELECT *, row_number() OVER (PARTITION BY status, reason ORDER BY text IS NULL, n DESC, text) AS rank
      FROM (
        SELECT e.status, split_part(e.reason, ': ', 1) AS reason,
               left(coalesce(nullif(substring(e.reason FROM ': (.*)'), ''), nullif(e.detail, '')), ${textLength}) AS text, count(*) AS n
        FROM update_executions e WHERE e.update_id = ${update_id} GROUP BY 1, 2, 3
      ) grouped
    ) ranked
    GROUP BY status, reason ORDER BY 3 DESC LIMIT 50
  ) r
)`;

const canaryCountsOf = (update_id: RawBuilder<unknown>) => sql`(
  SELECT jsonb_object_agg(c.status, c.n)
  FROM (SELECT e.status, count(*) AS n FROM update_executions e WHERE e.update_id = ${update_id} AND e.is_canary GROUP BY e.status) c
)`;

const backendErrorsOf = (update_id: RawBuilder<unknown>) => sql`(
  SELECT coalesce(jsonb_agg(d ORDER BY d.calls DESC), '[]') FROM (
    SELECT error, sum(calls) AS calls, max(answered_dt) AS last_dt
    FROM update_dispatches WHERE update_id = ${update_id} AND error IS NOT NULL GROUP BY error ORDER BY 2 DESC LIMIT 20
  ) d
)`;

/** Reads every execution of the update. */
export const figuresOf = (update_id: RawBuilder<unknown>) => sql<FinalFigures>`jsonb_build_object(
  'reasons', ${reasonsOf(update_id)}, 'canary_counts', ${canaryCountsOf(update_id)}, 'backend_errors', ${backendErrorsOf(update_id)}
)`;

/**
 * Stores the final figures of an update on its row, so that its executions need not be counted again and may be removed. May be called only
 * in the transaction that sets the update's `finished_dt`, or after it.
 */
export const keepFinalFigures = async (trx: Trx, id: number): Promise<void> => {
  await sql`
    UPDATE updates SET final_counts = ${countsOf(sql`${id}`)}, final_figures = ${figuresOf(sql`${id}`)}
    WHERE id = ${id}`.execute(trx);
};
