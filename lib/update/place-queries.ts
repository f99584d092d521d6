import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { waiting } from './predicates.ts';
import { aliveSeconds } from './waits-for.ts';

/** So many executions are counted before one. Who stands further behind has no number: counting a million would cost more than it tells. */
const furthestPlace = 10_000;

/** `update_executions e` that wait for the same turn as `own`. Written with the words of the index that holds them in the order of their turns. */
const sameTurn = sql`e.update_id = own.update_id AND e.channel = own.channel AND ${waiting}`;
const beforeOwn = sql`(e.next_attempt_dt, e.id) < (own.next_attempt_dt, own.id)`;

/**
 * Those that a step takes before `own`, in the order of `dueExecutions` of a release and of `offerExecutions`: first whose answer is
 * missing, then who was never put off, then by the time of their next try. Each part is one range of an index, so that the limit ends it.
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

/** A device that has not polled lately gets no offer, and so nobody waits for it. Not by EXISTS, for which PostgreSQL may read all devices. */
const isThere = (now: Date) => sql`
  own.channel = 'telematics' OR (
    SELECT d.last_seen_dt FROM devices d WHERE d.id = before.device_id
  ) > ${now}::timestamptz - make_interval(secs => ${aliveSeconds})`;

/**
 * The places of waiting executions among those that wait for the same turn; 1 is next. None for one that is further behind than
 * {@link furthestPlace}. Reads at most so many entries of an index for each execution, so only for a few of them.
 */
export const findPlaces = async (db: Db, executionIds: readonly number[], now: Date): Promise<Map<number, number>> => {
  if (executionIds.length === 0) return new Map();
  const { rows } = await sql<{ id: number; place: number }>`
    SELECT own.id, ahead.there + 1 AS place
    FROM update_executions own
    CROSS JOIN LATERAL (
      SELECT count(*) AS counted, count(*) FILTER (WHERE ${isThere(now)}) AS there FROM (${thoseBefore(now)}) before
    ) ahead
    WHERE own.id = ANY (${executionIds}::integer[]) AND ahead.counted < ${furthestPlace}`.execute(db);
  return new Map(rows.map(({ id, place }) => [id, place]));
};
