import { sql } from 'kysely';
import type { Trx } from '../db/database.ts';
import type { DeviceKind } from './device.ts';

/** In the order of the unique key, as everything that locks many devices. Unknown ids are missing from the answer. */
export const lockNamedDevices = async (
  trx: Trx,
  kind: DeviceKind,
  external_ids: readonly string[],
): Promise<{ id: number; external_id: string }[]> => {
  const { rows } = await sql<{ id: number; external_id: string }>`
    SELECT id, external_id FROM devices
    WHERE kind = ${kind} AND external_id = ANY (${external_ids}::text[])
    ORDER BY kind, external_id
    FOR NO KEY UPDATE`.execute(trx);
  return rows;
};

/** Of devices that are locked; answers how many had other tags before. */
export const changeTags = async (
  trx: Trx,
  ids: readonly number[],
  { add, remove }: { add: readonly string[]; remove: readonly string[] },
): Promise<number> => {
  const { numAffectedRows = 0n } = await sql`
    UPDATE devices d SET tags = wanted.tags
    FROM (
      SELECT id, ARRAY(
        SELECT tag FROM (SELECT unnest(tags) UNION SELECT unnest(${add}::text[])) AS kept (tag)
        WHERE tag <> ALL (${remove}::text[])
        ORDER BY tag COLLATE "C"
      ) AS tags
      FROM devices
      WHERE id = ANY (${ids}::integer[])
    ) wanted
    WHERE d.id = wanted.id AND d.tags <> wanted.tags`.execute(trx);
  return Number(numAffectedRows);
};
