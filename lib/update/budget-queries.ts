import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { DeviceKind } from '../fleet/device.ts';
import { outOfService } from './predicates.ts';
import { budgetOf } from './zone-rules.ts';

export interface ZoneBudget {
  /** '': devices without a zone. */
  zone: string;
  /** How many per cent of its devices may be at work at one moment. */
  percentage: number;
}

/**
 * How many more devices of a kind may be asked under each budget, in the order of the budgets; null: any number. Devices at work for any update
 * count, each once, however many updates it has. No budgets: no statement.
 */
export const listPlaces = async (db: Db, kind: DeviceKind, budgets: readonly ZoneBudget[]): Promise<(number | null)[]> => {
  const zones = [...new Set(budgets.filter(({ percentage }) => percentage < 100).map(({ zone }) => zone))];
  const { rows } = zones.length === 0 ? { rows: [] } : await countZones(kind, zones).execute(db);
  const counted = new Map(rows.map((row) => [row.zone, row]));
  return budgets.map(({ zone, percentage }) => {
    const { in_service = 0, at_work = 0 } = counted.get(zone) ?? {};
    return percentage < 100 ? Math.max(0, budgetOf(percentage, in_service) - at_work) : null;
  });
};

const countZones = (kind: DeviceKind, zones: readonly string[]) => sql<{ zone: string; in_service: number; at_work: number }>`
  WITH at_work AS (
    SELECT e.zone, count(DISTINCT e.device_id) AS devices
    FROM update_executions e JOIN hardware_types h ON h.name = e.hardware_type
    WHERE ${outOfService} AND e.zone = ANY (${zones}::text[]) AND h.device_kind = ${kind}
    GROUP BY e.zone
  )
  SELECT z.zone, coalesce(at_work.devices, 0) AS at_work, (
    SELECT coalesce(sum(c.device_count), 0) FROM device_seen_counts c WHERE c.zone = z.zone AND c.kind = ${kind}
  ) AS in_service
  FROM unnest(${zones}::text[]) AS z (zone) LEFT JOIN at_work ON at_work.zone = z.zone`;
