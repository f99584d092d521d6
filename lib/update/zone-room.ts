import { type RawBuilder, sql } from 'kysely';
import type { Opening } from './zone-rules.ts';

/** How many devices a zone allows an update whose devices wait there. */
export interface ZoneRoom {
  /** '': devices without a zone. */
  zone: string;
  opening: Opening;
  /** How many more devices may be asked; null: any number. */
  places: number | null;
}

/** A zone, and how many executions may be taken from it. */
export interface ZonePlaces {
  zone: string;
  places: number;
}

/** Stands for "no limit": the largest integer of PostgreSQL. */
const anyNumber = 2_147_483_647;

/** Zones whose windows are open. Devices that count against the budget already may be asked again there, full or not. */
export const openRooms = (rooms: readonly ZoneRoom[]): ZonePlaces[] =>
  rooms.filter(({ opening }) => opening.isOpen).map(({ zone }) => ({ zone, places: anyNumber }));

/** Zones that have a place for another device. */
export const freeRooms = (rooms: readonly ZoneRoom[]): ZonePlaces[] =>
  rooms.filter(({ opening, places }) => opening.isOpen && places !== 0).map(({ zone, places }) => ({ zone, places: places ?? anyNumber }));

/** `update_executions e` whose device is in one of the zones; null: in any zone or none. */
export const inZones = (zones: readonly ZonePlaces[] | null): RawBuilder<unknown> =>
  zones === null ? sql`true` : sql`e.zone = ANY (${zones.map(({ zone }) => zone)}::text[])`;

/**
 * The first waiting executions in their order, from each zone no more than it has places. From each zone only this many are read, so that a zone
 * that is closed or full costs nothing, however many executions wait there.
 *
 * @param waiting selects `id` and `next_attempt_dt` of `update_executions e`, with conditions
 * @param zones null: any zone or none
 */
export const firstOfZones = (
  waiting: RawBuilder<unknown>,
  most: number,
  zones: readonly ZonePlaces[] | null,
  answer: RawBuilder<unknown> = sql`e.id`,
): RawBuilder<unknown> => {
  const inOrder = sql`ORDER BY e.next_attempt_dt NULLS FIRST, e.id`;
  if (zones === null) return sql`SELECT ${answer} FROM (${waiting} ${inOrder} LIMIT ${most}) e`;
  return sql`
    SELECT ${answer}
    FROM unnest(${zones.map(({ zone }) => zone)}::text[], ${zones.map(({ places }) => places)}::integer[]) AS room (zone, places)
    CROSS JOIN LATERAL (${waiting} AND e.zone = room.zone ${inOrder} LIMIT least(room.places, ${most}::integer)) e
    ${inOrder}
    LIMIT ${most}`;
};
