import { type RawBuilder, sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { dueDt, unclaimed } from '../claims.ts';
import { removeUnfit } from '../hardware-queries.ts';
import { moved, movesOf } from '../move-executions.ts';
import type { OfferTimes } from '../offer-times.ts';
import { handedOver, unfinished, waiting } from '../predicates.ts';
import { nextOfferDt } from '../reach/offer-queries.ts';
import { firstOfZones, freeRooms, inZones, openRooms, type ZonePlaces, type ZoneRoom } from '../zone-room.ts';

export interface Release {
  update_id: number;
  step: number;
  /** How many at most. */
  limit: number;
  /** How many of them may take a place of `maximum_in_progress`; those whose answer is missing have one already. null: there is no limit. */
  places: number | null;
  /**
   * Only the canary is released: its devices that wait again, and this many new ones, drawn by lot because in the order of ids they would be
   * the oldest devices. 0: only those that wait again. null: there is no canary, or it has passed.
   */
  newCanaries: number | null;
  /** How many devices the zones allow; null: no window or budget holds any device back. */
  rooms: readonly ZoneRoom[] | null;
  /** Of hardware, that the firmware fits; null: all. */
  revisions: readonly string[] | null;
  /** Whether younger updates may have claims on its devices. */
  isSuperseded: boolean;
  chunkSize: number;
  now: Date;
}

/**
 * The executions that wait longest. Those whose answer is missing come first, because their devices may be at work already; they keep their
 * places, also in the budget of their zone.
 */
const dueExecutions = ({ update_id, limit, places, newCanaries, rooms, isSuperseded, now }: Release) => {
  const isDue = sql`e.update_id = ${update_id} AND ${waiting} AND e.channel = 'telematics'
    AND (e.next_attempt_dt IS NULL OR e.next_attempt_dt <= ${now})`;
  const due = (which: RawBuilder<unknown>, most: number, left: readonly ZonePlaces[] | null) => {
    const inTurn = newCanaries === null ? which : sql`${which} AND ${inCanary(update_id, newCanaries, left)}`;
    return firstOfZones(sql`SELECT e.id, e.next_attempt_dt FROM update_executions e WHERE ${isDue} AND ${inTurn}`, most, left);
  };
  const asked = due(sql`e.is_unanswered`, limit, rooms && openRooms(rooms));
  const unasked = due(sql`NOT e.is_unanswered`, Math.min(limit, places ?? limit), rooms && freeRooms(rooms));
  return sql`(${asked}) UNION ALL (${unclaimed(unasked, isSuperseded)}) LIMIT ${limit}`;
};

/** Executions that belong to the canary already, or are drawn by lot for it now. */
const inCanary = (update_id: number, newCanaries: number, left: readonly ZonePlaces[] | null) => sql`(e.is_canary OR e.id IN (
  SELECT e.id FROM update_executions e
  WHERE e.update_id = ${update_id} AND ${waiting} AND e.status = 'QUEUED' AND e.channel = 'telematics' AND NOT e.is_canary AND ${inZones(left)}
  ORDER BY hashint4(e.id), e.id
  LIMIT ${newCanaries}
))`;

/**
 * Releases the executions that wait longest, in chunks, and answers how many; ends those whose turn has come and whose device the firmware does
 * not fit any more. Only while the update is locked.
 */
export const releaseExecutions = async (trx: Trx, release: Release): Promise<number> => {
  const { update_id, step, newCanaries, revisions, chunkSize, now } = release;
  if (revisions) await removeUnfit(trx, dueExecutions(release), revisions, now);
  const { rows } = await sql<{ released: number }>`
    WITH due AS (
      SELECT id, (row_number() OVER () - 1) / ${chunkSize}::integer AS chunk FROM (${dueExecutions(release)}) e
    ), chunks AS (
      SELECT chunk, count(*) AS commands, nextval(pg_get_serial_sequence('update_dispatches', 'id'))::integer AS dispatch_id
      FROM due GROUP BY chunk
    ), dispatches AS (
      INSERT INTO update_dispatches (id, update_id, step, commands, released_dt)
      OVERRIDING SYSTEM VALUE
      SELECT dispatch_id, ${update_id}, ${step}, commands, ${now}::timestamptz FROM chunks
    ), locked AS (
      -- In the order of ids, like all statements that write many executions: two such statements cannot wait for each other in a circle.
      -- No condition on the phase: with it the planner, which has no statistics of new executions yet, would read all waiting ones for each
      -- due one, instead of finding each by its primary key.
      SELECT e.id, e.phase, 'released' AS event, due.chunk
      FROM update_executions e JOIN due ON due.id = e.id
      ORDER BY e.id
      FOR NO KEY UPDATE OF e SKIP LOCKED
    ), handed_over AS (
      SELECT locked.*, chunks.dispatch_id FROM locked JOIN chunks ON chunks.chunk = locked.chunk
    ), released AS (
      ${moved(movesOf('handed_over', ['released']), now, { dispatch_id: sql`m.dispatch_id`, is_canary: sql.lit(newCanaries !== null) })}
      RETURNING e.id
    )
    SELECT count(*) AS released FROM released`.execute(trx);
  return rows[0]?.released ?? 0;
};

export interface Remaining {
  hasUnfinished: boolean;
  /** Whether any is in a chunk or an offer, or a device is at work on it. */
  isHandedOver: boolean;
  /**
   * When the next waiting execution may be released: in the past if it waits only for the pace; null if none waits, or if they wait only for a
   * budget or for a window that never opens.
   */
  next_attempt_dt: Date | null;
}

/** What an update still waits for. Reads one row of each kind, however many there are. */
export const findRemaining = async (
  trx: Trx,
  update_id: number,
  now: Date,
  /** `offerTimes` is null if no device of the update polls. `rooms` is null if no window or budget holds any device back. */
  { offerTimes, rooms, isSuperseded }: { offerTimes: OfferTimes | null; rooms: readonly ZoneRoom[] | null; isSuperseded: boolean },
): Promise<Remaining> => {
  const left = rooms && freeRooms(rooms);
  const nextCommand = firstOfZones(
    sql`
      SELECT e.id, e.next_attempt_dt FROM update_executions e
      WHERE e.update_id = ${update_id} AND ${waiting} AND e.channel = 'telematics'`,
    1,
    left,
    dueDt(now, isSuperseded),
  );
  const { rows } = await sql<{ has_unfinished: boolean; is_handed_over: boolean; next_attempt_dt: Date | null }>`
    SELECT EXISTS (SELECT FROM update_executions e WHERE e.update_id = ${update_id} AND ${unfinished}) AS has_unfinished,
           EXISTS (SELECT FROM update_executions e WHERE e.update_id = ${update_id} AND ${handedOver}) AS is_handed_over,
           least((${nextCommand}), ${offerTimes ? nextOfferDt(update_id, now, { times: offerTimes, zones: left, isSuperseded }) : sql`NULL`}) AS next_attempt_dt`.execute(
    trx,
  );
  const [row] = rows;
  const openings = (rooms ?? []).flatMap(({ opening }) => (opening.isOpen || !opening.opens_dt ? [] : [opening.opens_dt]));
  const moments = [row?.next_attempt_dt ?? null, ...openings].filter((moment) => moment !== null);
  return {
    hasUnfinished: row?.has_unfinished ?? false,
    isHandedOver: row?.is_handed_over ?? false,
    next_attempt_dt: moments.length === 0 ? null : new Date(Math.min(...moments.map(Number))),
  };
};
