import { type RawBuilder, sql } from 'kysely';
import type { Db, Trx } from '../../db/database.ts';
import { fitsRevision, revisionsOf } from '../../firmware/revision-queries.ts';
import { dueDt, unclaimed } from '../claims.ts';
import { removeUnfit } from '../hardware-queries.ts';
import { moved, movesOf } from '../move-executions.ts';
import type { OfferTimes } from '../offer-times.ts';
import { inPhases, waiting } from '../predicates.ts';
import { firstOfZones, freeRooms, inZones, type ZonePlaces, type ZoneRoom } from '../zone-room.ts';

/**
 * Devices that poll get offers, as devices that scooters-backend reaches get commands. A device sees its offer at its next poll, and takes it
 * by asking for the deployment.
 */
const offered = inPhases('offered');

/** `devices d` of an execution that could take an offer now. */
const isAlive = (now: Date, { aliveSeconds }: OfferTimes) =>
  sql`d.last_seen_dt > ${now}::timestamptz - make_interval(secs => ${aliveSeconds})`;

/** `update_executions e` that wait for an offer, including those that are not due yet. */
const waitsForOffer = (update_id: number) => sql`e.update_id = ${update_id} AND ${waiting} AND e.channel = 'iot'`;

const isDue = (now: Date) => sql`(e.next_attempt_dt IS NULL OR e.next_attempt_dt <= ${now})`;

export interface Offer {
  update_id: number;
  step: number;
  /** How many at most. */
  limit: number;
  /** As in a release: only the canary, and so many new ones. null: there is none, or it has passed. */
  newCanaries: number | null;
  /** How many devices the zones allow; null: no window or budget holds any device back. */
  rooms: readonly ZoneRoom[] | null;
  /** Of hardware, that the firmware fits; null: all. */
  revisions: readonly string[] | null;
  /** Whether younger updates may have claims on its devices. */
  isSuperseded: boolean;
  times: OfferTimes;
  now: Date;
}

/** The executions that wait longest, of devices that poll. */
const dueOffers = ({ update_id, limit, newCanaries, rooms, isSuperseded, times, now }: Offer) => {
  const left = rooms && freeRooms(rooms);
  const canaryOnly = sql`AND (e.is_canary OR e.id IN (
    SELECT e.id FROM update_executions e JOIN devices d ON d.id = e.device_id
    WHERE ${waitsForOffer(update_id)} AND e.status = 'QUEUED' AND NOT e.is_canary AND ${isAlive(now, times)} AND ${inZones(left)}
    ORDER BY hashint4(e.id), e.id
    LIMIT ${newCanaries}
  ))`;
  const inTurn = sql`
    SELECT e.id, e.next_attempt_dt
    FROM update_executions e JOIN devices d ON d.id = e.device_id
    WHERE ${waitsForOffer(update_id)} AND ${isDue(now)} AND ${isAlive(now, times)} ${newCanaries === null ? sql`` : canaryOnly}`;
  return unclaimed(firstOfZones(inTurn, limit, left), isSuperseded);
};

/**
 * Offers the executions that wait longest to their devices, and answers how many; ends those whose device the firmware does not fit any more.
 * Only while the update is locked. Their dispatch is inserted as answered, because nobody has to hand it over.
 */
export const offerExecutions = async (trx: Trx, offer: Offer): Promise<number> => {
  const { update_id, step, newCanaries, revisions, now } = offer;
  if (revisions) await removeUnfit(trx, dueOffers(offer), revisions, now);
  const { rows } = await sql<{ offered: number }>`
    WITH due AS (
      ${dueOffers(offer)}
    ), dispatch AS (
      INSERT INTO update_dispatches (update_id, step, commands, released_dt, answered_dt)
      SELECT ${update_id}, ${step}, count(*), ${now}::timestamptz, ${now}::timestamptz FROM due HAVING count(*) > 0
      RETURNING id
    ), locked AS (
      SELECT e.id, e.phase, 'offered' AS event, dispatch.id AS dispatch_id
      FROM update_executions e JOIN due ON due.id = e.id CROSS JOIN dispatch
      ORDER BY e.id
      FOR NO KEY UPDATE OF e SKIP LOCKED
    ), offered AS (
      ${moved(movesOf('locked', ['offered']), now, { dispatch_id: sql`m.dispatch_id`, is_canary: sql.lit(newCanaries !== null) })}
      RETURNING e.id
    )
    SELECT count(*) AS offered FROM offered`.execute(trx);
  return rows[0]?.offered ?? 0;
};

/**
 * Takes back offers that no device has taken: those made up to `madeUntil`, or all of them. These executions then wait behind all others, and
 * give up their places; in a canary another device is drawn instead. Only while the update is locked.
 */
export const withdrawOffers = async (trx: Trx, update_id: number, madeUntil: Date | null, now: Date): Promise<void> => {
  await sql`
    WITH locked AS (
      SELECT e.id, e.phase, 'unclaimed' AS event
      FROM update_executions e JOIN update_dispatches o ON o.id = e.dispatch_id
      WHERE e.update_id = ${update_id} AND ${offered} AND (${madeUntil}::timestamptz IS NULL OR o.released_dt <= ${madeUntil})
      ORDER BY e.id
      FOR NO KEY UPDATE OF e SKIP LOCKED
    )
    ${moved(movesOf('locked', ['unclaimed']), now, { next_attempt_dt: sql`${now}::timestamptz` })}`.execute(trx);
};

export interface OfferProgress {
  /** Offers that no device has taken yet. Each may be taken at any moment, so the pace counts it already. */
  standing: number;
  /** Taken within the pace window. */
  takenInWindow: number;
  /** Executions that could be offered at this moment; counted up to `atMost`. */
  offerable: number;
}

/** What the pace has to know about devices that poll, in one statement. */
export const getOfferProgress = async (
  trx: Trx,
  update_id: number,
  { now, windowSeconds, times, atMost }: { now: Date; windowSeconds: number; times: OfferTimes; atMost: number },
): Promise<OfferProgress> => {
  const { rows } = await sql<{ standing: number; taken_in_window: number; offerable: number }>`
    SELECT
      (
        SELECT count(*) FROM update_executions e WHERE e.update_id = ${update_id} AND ${offered}
      ) AS standing,
      (
        SELECT count(*) FROM update_executions
        WHERE update_id = ${update_id} AND channel = 'iot' AND sent_dt > ${now}::timestamptz - make_interval(secs => ${windowSeconds})
      ) AS taken_in_window,
      (
        SELECT count(*) FROM (
          SELECT FROM update_executions e JOIN devices d ON d.id = e.device_id
          WHERE ${waitsForOffer(update_id)} AND ${isDue(now)} AND ${isAlive(now, times)}
          LIMIT ${atMost}
        ) due
      ) AS offerable`.execute(trx);
  const [row] = rows;
  return { standing: row?.standing ?? 0, takenInWindow: row?.taken_in_window ?? 0, offerable: row?.offerable ?? 0 };
};

/** When the next execution may be offered to a device that is polling; null when none waits. Reads no more rows than necessary. */
export const nextOfferDt = (
  update_id: number,
  now: Date,
  { times, zones, isSuperseded }: { times: OfferTimes; zones: readonly ZonePlaces[] | null; isSuperseded: boolean },
): RawBuilder<unknown> =>
  sql`(${firstOfZones(
    sql`
      SELECT e.id, e.next_attempt_dt
      FROM update_executions e JOIN devices d ON d.id = e.device_id
      WHERE ${waitsForOffer(update_id)} AND ${isAlive(now, times)}`,
    1,
    zones,
    dueDt(now, isSuperseded),
  )})`;

/** Whether `firmwares f` fits the hardware of `devices d`. */
const fits = fitsRevision(revisionsOf('f'), sql`d.revision`);

/**
 * The device takes its offer. From now on it counts as asked, and its deadline runs. false: the offer is no longer valid, because it was
 * withdrawn, the update is paused or has ended, or the firmware does not fit the device's hardware any more.
 */
export const takeOffer = async (db: Db, device_id: number, execution_id: number, now: Date): Promise<boolean> => {
  const { numAffectedRows = 0n } = await sql`
    WITH locked AS (
      SELECT e.id, e.phase, 'taken' AS event
      FROM update_executions e
      JOIN updates u ON u.id = e.update_id
      JOIN firmwares f ON f.id = u.firmware_id
      JOIN devices d ON d.id = e.device_id
      WHERE e.id = ${execution_id} AND e.device_id = ${device_id} AND u.status = 'IN_PROGRESS' AND f.status = 'available' AND ${fits}
      FOR NO KEY UPDATE OF e
    )
    ${moved(movesOf('locked', ['taken']), now)}`.execute(db);
  return numAffectedRows > 0n;
};
