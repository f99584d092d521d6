import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { AliveTimes } from './offer-times.ts';
import { waiting } from './predicates.ts';

/** The last place that has a number. Executions further behind get none: to count a million would cost more than the number is worth. */
const furthestPlace = 10_000;

/** `update_executions e` in the same queue as `own`. Uses the very conditions of the partial index that holds this queue in its order. */
const sameTurn = sql`e.update_id = own.update_id AND e.channel = own.channel AND ${waiting}`;
const beforeOwn = sql`(e.next_attempt_dt, e.id) < (own.next_attempt_dt, own.id)`;

/**
 * Executions that a step takes before `own`. The order is that of `dueExecutions` (release) and `offerExecutions`: first those whose answer
 * is missing, then those that were never put off, then the others by the time of their next try. Each part reads one range of an index, so
 * that it stops at the limit.
 */
const thoseBefore = (now: Date) => sql`
  SELECT e.device_id FROM update_executions e
  WHERE ${sameTurn} AND NOT own.is_unanswered AND e.next_attempt_dt IS NULL AND (own.next_attempt_dt IS NOT NULL OR e.id < own.id)
  UNION ALL
  SELECT e.device_id FROM update_executions e
  WHERE ${sameTurn} AND NOT own.is_unanswered AND ${beforeOwn}
  UNION ALL
  SELECT e.device_id FROM update_executions e
  WHERE ${sameTurn} AND e.is_unanswered AND e.next_attempt_dt <= ${now}
    AND CASE WHEN own.is_unanswered THEN ${beforeOwn} ELSE own.next_attempt_dt IS NULL OR NOT ${beforeOwn} END
  LIMIT ${furthestPlace}`;

/** A device that has not polled lately gets no offer, so it is not before anybody. No EXISTS here: PostgreSQL might read all devices for it. */
const isThere = (now: Date, { aliveSeconds }: AliveTimes) => sql`
  own.channel = 'telematics' OR (
    SELECT d.last_seen_dt FROM devices d WHERE d.id = before.device_id
  ) > ${now}::timestamptz - make_interval(secs => ${aliveSeconds})`;

/**
 * The places of waiting executions in their queues; 1 is next. An execution behind {@link furthestPlace} has none. Reads up to that many
 * index entries for each execution, so call this for a few executions only.
 */
export const findPlaces = async (db: Db, executionIds: readonly number[], now: Date, times: AliveTimes): Promise<Map<number, number>> => {
  if (executionIds.length === 0) return new Map();
  const { rows } = await sql<{ id: number; place: number }>`
    SELECT own.id, ahead.there + 1 AS place
    FROM update_executions own
    CROSS JOIN LATERAL (
      SELECT count(*) AS counted, count(*) FILTER (WHERE ${isThere(now, times)}) AS there FROM (${thoseBefore(now)}) before
    ) ahead
    WHERE own.id = ANY (${executionIds}::integer[]) AND ahead.counted < ${furthestPlace}`.execute(db);
  return new Map(rows.map(({ id, place }) => [id, place]));
};
