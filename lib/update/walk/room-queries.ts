import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { inOneTrip } from '../../db/pipeline.ts';
import { listPlaces, type ZoneBudget } from '../budget-queries.ts';
import { waiting } from '../predicates.ts';
import type { LockedUpdate } from '../update-queries.ts';
import type { ZoneRoom } from '../zone-room.ts';
import { type Opening, openingsOf, type ZoneWindow } from '../zone-rules.ts';

/** Whether any window or budget may hold back devices of an update; most have neither, and cost no statement for it. */
export const isLimitedByZones = (update: LockedUpdate): boolean => hasWindows(update) || hasBudgets(update);

const hasWindows = ({ ignore_window, window, has_zone_windows }: LockedUpdate): boolean =>
  !ignore_window && (window !== null || has_zone_windows);
const hasBudgets = ({ maximum_unavailable_percentage, has_zone_budgets }: LockedUpdate): boolean =>
  maximum_unavailable_percentage < 100 || has_zone_budgets;

/**
 * Until the transaction ends no other step counts or takes places of a budget, of whatever update. Before they are counted, so that this one
 * sees what the one before has taken.
 */
const takeTurnInReleasing = sql`SELECT pg_advisory_xact_lock('zones'::regclass::oid::integer, 0)`;
const noTurn = sql`SELECT`;

/** What each zone leaves, of those in which the update has devices waiting; where there are budgets, to nobody else until the transaction ends. */
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
