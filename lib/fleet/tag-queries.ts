import { sql } from 'kysely';
import type { Trx } from '../db/database.ts';
import { noteChangedDevices } from './candidate-queries.ts';
import type { DeviceKind } from './device.ts';
import type { DeviceFilter } from './device-filter.ts';
import { filteredDevices } from './device-filter-queries.ts';

/** Locks in the order of the unique key, as all code that locks many devices does. Unknown ids are missing from the answer. */
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

export interface TagChange {
  add: readonly string[];
  remove: readonly string[];
}

const tagsAfter = ({ add, remove }: TagChange) => sql`ARRAY(
  SELECT tag FROM (SELECT unnest(d.tags) UNION SELECT unnest(${add}::text[])) AS kept (tag)
  WHERE tag <> ALL (${remove}::text[])
  ORDER BY tag COLLATE "C"
)`;

/** Locks devices that a filter means and whose tags would change, up to a number, in the order of the unique key. */
export const lockTaggable = async (
  trx: Trx,
  filter: DeviceFilter,
  change: TagChange,
  { now, limit }: { now: Date; limit: number },
): Promise<number[]> => {
  const { rows } = await sql<{ id: number }>`
    SELECT d.id FROM devices d
    WHERE d.id IN (SELECT id FROM (${filteredDevices(filter, { now })}) meant) AND d.tags <> ${tagsAfter(change)}
    ORDER BY d.kind, d.external_id
    LIMIT ${limit}
    FOR NO KEY UPDATE OF d`.execute(trx);
  return rows.map(({ id }) => id);
};

/** Changes the tags of devices that are locked, and answers how many had other tags before. */
export const changeTags = async (trx: Trx, ids: readonly number[], change: TagChange): Promise<number> => {
  const { rows } = await sql<{ n: number }>`
    WITH changed AS (
      UPDATE devices d SET tags = ${tagsAfter(change)}
      WHERE d.id = ANY (${ids}::integer[]) AND d.tags <> ${tagsAfter(change)}
      RETURNING d.id AS device_id, d.kind
    ), noted AS (
      ${noteChangedDevices(sql`SELECT device_id, kind FROM changed`)}
    )
    SELECT count(*) AS n FROM changed`.execute(trx);
  return rows[0]?.n ?? 0;
};
