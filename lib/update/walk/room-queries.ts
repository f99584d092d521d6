import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { inOneTrip } from '../../db/pipeline.ts';
import { listPlaces, type ZoneBudget } from '../budget-queries.ts';
import { waiting } from '../predicates.ts';
import type { LockedUpdate } from '../update-queries.ts';
import type { ZoneRoom } from '../zone-room.ts';
import { type Opening, openingsOf, type ZoneWindow } from '../zone-rules.ts';

/** Whether a window or budget may hold back devices of an update. Most updates have neither, and then no statement is needed. */
export const isLimitedByZones = (update: LockedUpdate): boolean => hasWindows(update) || hasBudgets(update);

const hasWindows = ({ ignore_window, window, has_zone_windows }: LockedUpdate): boolean =>
  !ignore_window && (window !== null || has_zone_windows);
const hasBudgets = ({ maximum_unavailable_percentage, has_zone_budgets }: LockedUpdate): boolean =>
  maximum_unavailable_percentage < 100 || has_zone_budgets;

/**
 * Locks the budgets: until the transaction ends, no step of any other update counts or takes places of a budget. Call it before counting, so
 * that the count includes what the step before has taken.
 */
const takeTurnInReleasing = sql`SELECT pg_advisory_xact_lock('zones'::regclass::oid::integer, 0)`;
const noTurn = sql`SELECT`;

/** How many devices each zone allows, for zones in which devices of the update wait. Budgets are locked until the transaction ends. */
export const listRooms = async (trx: Trx, update: LockedUpdate, now: Date): Promise<ZoneRoom[]> => {
  const { id, device_kind, maximum_unavailable_percentage } = update;
  const [, zones] = await inOneTrip<[unknown, ZoneWindow & ZoneBudget]>(
    trx,
    hasBudgets(update) ? takeTurnInReleasing : noTurn,
    sql`
      SELECT z.zone, z.time_zone, z.maintenance_window, least(z.percentage, ${maximum_unavailable_percentage}::double precision) AS percentage
      FROM (
        SELECT name AS zone, time_zone, maintenance_window, maximum_unavailable_percentage AS percentage FROM zones
        UNION ALL
        SELECT '', NULL, NULL, 100
      ) z
      WHERE EXISTS (SELECT FROM update_executions e WHERE e.update_id = ${id} AND ${waiting} AND e.zone = z.zone)`,
  );
  const places = await listPlaces(trx, device_kind, zones);
  const { window, ignore_window } = update;
  const openings = openingsOf(
    zones.map((zone) => ({ ...zone, window, ignore_window })),
    now,
  );
  return zones.map(({ zone }, i) => ({ zone, opening: openings[i] as Opening, places: places[i] ?? null }));
};
