import { type RawBuilder, sql } from 'kysely';
import type { Trx } from '../db/database.ts';
import type { Removal } from '../removal.ts';

/**
 * Removes rows of the history whose successor is itself older than the kept months. So the history of these months stays complete, including
 * what a device ran at their beginning, and the last row of a device stays for ever. Goes through the history in the order in which it was
 * written, and stops at the first row that is not old. Answers whether there may be more.
 */
export async function removeOldHistory(trx: Trx, { before, limit }: Removal): Promise<boolean> {
  const { rows } = await sql<{ n: number }>`
    WITH place AS (
      SELECT after_id FROM removal_places WHERE table_name = 'device_firmware_history' FOR UPDATE SKIP LOCKED
    ), next AS MATERIALIZED (
      SELECT id, device_id, hardware_type, observed_dt
      FROM device_firmware_history
      WHERE id > (SELECT after_id FROM place)
      ORDER BY id
      LIMIT ${limit}
    ), old AS MATERIALIZED (
      SELECT * FROM (SELECT *, bool_and(observed_dt < ${before}) OVER (ORDER BY id) AS are_all_old FROM next) so_far WHERE are_all_old
    ), removed AS (
      DELETE FROM device_firmware_history WHERE id = ANY (ARRAY(
        -- Only the row before it: still earlier ones are gone already.
        SELECT (
          SELECT h.id FROM device_firmware_history h
          WHERE h.device_id = old.device_id AND h.hardware_type = old.hardware_type AND h.id < old.id
          ORDER BY h.id DESC LIMIT 1
        )
        FROM old
      ))
    ), moved AS (
      UPDATE removal_places SET after_id = (SELECT max(id) FROM old)
      WHERE table_name = 'device_firmware_history' AND EXISTS (SELECT FROM old)
    )
    SELECT count(*) AS n FROM old`.execute(trx);
  return (rows[0]?.n ?? 0) >= limit;
}

/** Removes the rows of a count whose shards add up to zero: without them every sum stays the same. */
const removeZeros = (table: string, key: readonly string[], limit: number): RawBuilder<unknown> => {
  const columns = sql.join(key.map((column) => sql.ref(column)));
  const counts = sql.table(table);
  return sql`
    WITH unused AS (
      SELECT ${columns} FROM ${counts} GROUP BY ${columns} HAVING sum(device_count) = 0 LIMIT ${limit}
    ), locked AS (
      -- Locked rows are skipped, so this never waits, and nobody waits in a circle.
      SELECT * FROM ${counts} WHERE (${columns}) IN (SELECT * FROM unused) FOR UPDATE SKIP LOCKED
    ), zeros AS (
      SELECT ${columns} FROM locked GROUP BY ${columns} HAVING sum(device_count) = 0
    )
    DELETE FROM ${counts} WHERE (${columns}, shard) IN (SELECT ${columns}, shard FROM locked WHERE (${columns}) IN (SELECT * FROM zeros))`;
};

/** Removes counts of versions that no device runs any more, and of days on which no device was last seen. They are made again when needed. */
export async function removeUnusedCounts(trx: Trx, { limit }: Removal): Promise<boolean> {
  const versions = await removeZeros('device_firmware_counts', ['hardware_type', 'reported_version', 'zone'], limit).execute(trx);
  const days = await removeZeros('device_seen_counts', ['kind', 'seen_on', 'zone'], limit).execute(trx);
  const removed = (versions.numAffectedRows ?? 0n) + (days.numAffectedRows ?? 0n);
  return removed >= limit;
}

/** Removes the daily counts of versions of days long ago. */
export async function removeOldDays(trx: Trx, { before, limit }: Removal): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    DELETE FROM device_firmware_days WHERE (hardware_type, day) IN (
      SELECT hardware_type, day FROM device_firmware_days WHERE day < (${before}::timestamptz AT TIME ZONE 'UTC')::date LIMIT ${limit}
    )`.execute(trx);
  return numAffectedRows >= limit;
}
