import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import type { BackendGate } from '../backend-gate.ts';
import { type ExecutionStatus, failureTypes, noCounts, reasons } from '../execution.ts';
import { countsOf, judgedCounts, lateCountsOf } from '../figure-queries.ts';
import { handedOver, waiting } from '../predicates.ts';
import type { OfferProgress } from '../reach/offer-queries.ts';
import type { Counts } from '../update.ts';
import type { LockedUpdate } from '../update-queries.ts';
import { judgedEnds, type LastEnds, notJudged } from './stop-rules.ts';

export interface Progress {
  counts: Counts;
  /** As stop rules judge them. */
  judged: Counts;
  /**
   * `chosen`: without those that were taken out since (retired, superseded, with other hardware), which are `removed`. `isDrawn`: no other device
   * is left that could take a place in it. `waiting`: devices of the canary that were put off by the backend or wait for a retry.
   */
  canary: { chosen: number; removed: number; isDrawn: boolean; waiting: number; succeeded: number; failed: number };
  commandsInWindow: number;
  isUnderWay: boolean;
  /**
   * Executions that are asked, or about to be, and have not ended. Those that wait because the answer to the last command is missing count,
   * because their devices may be at work; those that wait after an answer do not.
   */
  inProgress: number;
  /** How many of these wait to be asked again. */
  unanswered: number;
  gate: BackendGate;
  /** Of a continuous update. */
  lastEnds?: LastEnds;
  /** Of devices that poll; missing when there are none. */
  offers?: OfferProgress;
}

interface ProgressRow {
  counts: Partial<Counts>;
  late: Partial<Counts>;
  canary: Partial<Record<ExecutionStatus, number>>;
  canary_late: Partial<Counts>;
  canary_waiting: number;
  commands_in_window: number;
  is_under_way: boolean;
  handed_over: number;
  unanswered: number;
  share: number;
  changed_dt: Date;
  failures: number;
  closed_until: Date | null;
  reason: string | null;
  usual_latency_ms: number | null;
}

/** Everything that a step needs for its decision, in one statement. */
export const getProgress = async (
  trx: Trx,
  id: number,
  { now, windowSeconds, leaseSeconds }: { now: Date; windowSeconds: number; leaseSeconds: number },
): Promise<Progress> => {
  const { rows } = await sql<ProgressRow>`
    SELECT
      ${countsOf(sql`${id}`)} AS counts,
      ${lateCountsOf(sql`${id}`)} AS late,
      ${lateCountsOf(sql`${id}`, sql`e.is_canary`)} AS canary_late,
      (
        SELECT coalesce(jsonb_object_agg(c.status, c.n), '{}')
        FROM (SELECT status, count(*) AS n FROM update_executions WHERE update_id = ${id} AND is_canary GROUP BY status) c
      ) AS canary,
      (
        SELECT count(*) FROM update_executions e WHERE e.update_id = ${id} AND e.is_canary AND ${waiting}
      ) AS canary_waiting,
      (
        -- A released chunk counts until its answer has left the pace window: it is not known when exactly a command arrives during a call,
        -- only that it is before the answer. A chunk that was held back is no command.
        SELECT coalesce(sum(commands), 0) FROM update_dispatches
        WHERE update_id = ${id} AND (
          answered_dt IS NULL OR (sent_dt IS NOT NULL AND answered_dt > ${now}::timestamptz - make_interval(secs => ${windowSeconds}))
        )
      ) AS commands_in_window,
      EXISTS (
        -- Chunks of all updates; if a call has run for so long, no function waits for it any more.
        SELECT FROM update_dispatches
        WHERE answered_dt IS NULL AND coalesce(sent_dt, released_dt) > ${now}::timestamptz - make_interval(secs => ${leaseSeconds})
      ) AS is_under_way,
      (
        SELECT count(*) FROM update_executions e WHERE e.update_id = ${id} AND ${handedOver}
      ) AS handed_over,
      (
        SELECT count(*) FROM update_executions e WHERE e.update_id = ${id} AND ${waiting} AND e.is_unanswered
      ) AS unanswered,
      g.share, g.changed_dt, g.failures, g.closed_until, g.usual_latency_ms, g.reason
    FROM backend_gate g`.execute(trx);
  const [row] = rows;
  if (!row) throw new Error('The backend gate has no row');
  const { share, changed_dt, failures, closed_until, usual_latency_ms, reason } = row;
  const canary = judgedCounts(row.canary, row.canary_late);
  const removed = canary.REMOVED + canary.CANCELED;
  return {
    counts: { ...noCounts(), ...row.counts },
    judged: judgedCounts(row.counts, row.late),
    canary: {
      chosen: Object.values(canary).reduce((sum, n) => sum + n, 0) - removed,
      removed,
      isDrawn: (row.counts.QUEUED ?? 0) <= canary.QUEUED,
      waiting: row.canary_waiting,
      succeeded: canary.SUCCEEDED,
      failed: canary.FAILED + canary.TIMED_OUT + canary.REJECTED,
    },
    commandsInWindow: row.commands_in_window,
    isUnderWay: row.is_under_way,
    inProgress: row.handed_over + row.unanswered,
    unanswered: row.unanswered,
    gate: { share, changed_dt, failures, closed_until, usual_latency_ms, reason },
  };
};

const judgedStatuses = ['SUCCEEDED', ...failureTypes] as const;

/** The last ends of an update, without devices that had the version before; a failure that is followed by proof is a success. */
export const countLastEnds = async (
  trx: Trx,
  { id, resumed_counts, already_on_target }: Pick<LockedUpdate, 'id' | 'resumed_counts' | 'already_on_target'>,
  judged: Counts,
): Promise<LastEnds> => {
  const ended = (counts: Partial<Counts>) => judgedStatuses.reduce((sum, status) => sum + (counts[status] ?? 0), 0);
  const sinceResume = Math.max(0, ended(judged) - ended(notJudged(already_on_target, resumed_counts)));
  const { rows } = await sql<{ status: ExecutionStatus; n: number; n_since: number }>`
    SELECT status, count(*) AS n, count(*) FILTER (WHERE rank <= ${sinceResume}) AS n_since
    FROM (
      SELECT CASE WHEN e.late_success_dt IS NULL THEN e.status ELSE 'SUCCEEDED' END AS status,
             row_number() OVER (ORDER BY e.finished_dt DESC, e.id DESC) AS rank
      FROM unnest(${[...judgedStatuses]}::text[]) AS s (status)
      -- The last ones of each status, from the index.
      CROSS JOIN LATERAL (
        SELECT e.id, e.status, e.finished_dt, e.late_success_dt FROM update_executions e
        WHERE e.update_id = ${id} AND e.status = s.status AND e.reason IS DISTINCT FROM ${reasons.alreadyOnTarget}
        ORDER BY e.finished_dt DESC, e.id DESC
        LIMIT ${judgedEnds}
      ) e
    ) last
    WHERE rank <= ${judgedEnds}
    GROUP BY status`.execute(trx);
  return {
    all: Object.fromEntries(rows.map(({ status, n }) => [status, n])),
    sinceResume: Object.fromEntries(rows.map(({ status, n_since }) => [status, n_since])),
  };
};
