import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import type { RetryPolicy } from '../execution.ts';
import { moved, movesOrRetriesOf } from '../move-executions.ts';
import { atWork, unasked } from '../predicates.ts';

export interface Deadlines extends RetryPolicy {
  /** Executions that still wait are late if they were queued before this; null: none is. */
  queuedBefore: Date | null;
  /** Executions sent before this are late, unless their device has said since that it is at work. */
  sentBefore: Date;
  /** Executions sent before this are late in any case, even without an answer to a look-up, so that every update ends some day. */
  givenUpBefore: Date;
  /** From a command until the version wanted has to be seen. */
  in_progress_minutes: number;
  /** Whether there may be another try at all: not in an update that has been stopped. */
  mayRetry: boolean;
}

/** Bounds a step's transaction. */
const maximumExpiredPerStep = 10_000;

/**
 * A device that polls has said that it is done, and afterwards that it runs another version. It has not been silent, so its end is a mismatch
 * and no timeout (eventOf in lib/report/event-of-report.ts).
 */
const hasShownAnotherVersion = sql`(e.phase = 'installed' AND EXISTS (
  SELECT FROM device_firmwares r
  WHERE r.device_id = e.device_id AND r.hardware_type = e.hardware_type AND r.observed_dt >= e.installed_dt
))`;

/**
 * Whether the service has heard what the device runs at or after its deadline: the backend has answered about its chunk, or the device has
 * polled.
 */
const wasHeardOf = (in_progress_minutes: number) => sql`CASE e.channel
  WHEN 'iot' THEN EXISTS (
    SELECT FROM devices d
    WHERE d.id = e.device_id AND d.last_seen_dt >= greatest(e.sent_dt, e.progress_dt) + make_interval(secs => ${in_progress_minutes * 60})
  )
  ELSE EXISTS (SELECT FROM update_dispatches d WHERE d.id = e.dispatch_id AND d.overdue_sent_until >= e.sent_dt)
END`;

/** Whether its deadline has passed, and the service was able to hear of the device at or after that. */
const isLate = ({ sentBefore, givenUpBefore, in_progress_minutes }: Deadlines) => sql`(
  ${atWork} AND e.sent_dt < ${sentBefore} AND (
    e.sent_dt < ${givenUpBefore}
    OR ((e.progress_dt IS NULL OR e.progress_dt < ${sentBefore}) AND (${hasShownAnotherVersion} OR ${wasHeardOf(in_progress_minutes)}))
  )
)`;

/** Ends executions whose deadline has passed, or gives them another try; answers how many. */
export const expireExecutions = async (trx: Trx, update_id: number, deadlines: Deadlines, now: Date): Promise<number> => {
  const { queuedBefore, number_of_retries, retry_failure_types, mayRetry } = deadlines;
  const retry = {
    number_of_retries: sql`${number_of_retries}::integer`,
    failure_types: sql`${retry_failure_types}::text[]`,
    may_retry: sql`${mayRetry}::boolean`,
  };
  const { rows } = await sql<{ n: number }>`
    WITH overdue AS (
      SELECT e.id, e.phase, e.retries, CASE WHEN ${hasShownAnotherVersion} THEN 'mismatched' ELSE 'overdue' END AS event
      FROM update_executions e
      WHERE e.update_id = ${update_id} AND (${isLate(deadlines)} ${queuedBefore ? sql`OR (${unasked} AND e.queued_dt <= ${queuedBefore})` : sql``})
      ORDER BY e.id
      LIMIT ${maximumExpiredPerStep}
      FOR NO KEY UPDATE OF e SKIP LOCKED
    ), moved AS (
      ${moved(movesOrRetriesOf('overdue', ['overdue', 'mismatched'], retry, now), now, {
        reason: sql`m.retry_reason`,
        next_attempt_dt: sql`m.retry_dt`,
      })}
      RETURNING e.id
    )
    SELECT count(*) AS n FROM moved`.execute(trx);
  return rows[0]?.n ?? 0;
};
