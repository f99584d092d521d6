import { sql } from 'kysely';
import type { Db } from '../db/database.ts';

export interface DayCounts {
  /** Like 2026-11-24, in UTC. */
  day: string;
  device_count: number;
  versions: Record<string, number>;
}

/** The counts kept at the beginnings of days, in their order: the days after `first`, and the last one before; and the counts of now. */
export const listDayCounts = async (
  db: Db,
  hardware_type: string,
  first: string,
): Promise<{ begun: DayCounts[]; current: Omit<DayCounts, 'day'> }> => {
  const { rows } = await sql<{ begun: DayCounts[]; current: Omit<DayCounts, 'day'> }>`
    SELECT (
      SELECT coalesce(jsonb_agg(to_jsonb(k) ORDER BY k.day), '[]')
      FROM (
        (
          SELECT day, device_count, versions FROM device_firmware_days
          WHERE hardware_type = ${hardware_type} AND day <= ${first} ORDER BY day DESC LIMIT 1
        )
        UNION ALL
        SELECT day, device_count, versions FROM device_firmware_days WHERE hardware_type = ${hardware_type} AND day > ${first}
      ) k
    ) AS begun,
    (SELECT to_jsonb(c) FROM count_versions_of(${hardware_type}) c) AS current`.execute(db);
  const [counts] = rows;
  if (!counts) throw new Error('Nothing was counted');
  return counts;
};
