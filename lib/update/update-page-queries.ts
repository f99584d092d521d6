import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { comesAfter, type Direction, directionOf, inOrder } from '../db/keyset.ts';
import { decodeIdCursor, listOf, type Page, toPage } from '../http/page.ts';
import { selectCountedUpdates, toUpdate } from './shown-update-queries.ts';
import type { Update } from './update.ts';
import type { UpdateStatus } from './update-status.ts';

/** The orders in which updates can be listed: in that of their ids, which every condition has an index for. */
export const updateSorts = ['created_dt_descending', 'created_dt_ascending'] as const;

export interface UpdateFilter {
  status?: UpdateStatus | undefined;
  firmware_id?: number | undefined;
  hardware_type?: string | undefined;
  created_by?: string | undefined;
  sort?: (typeof updateSorts)[number] | undefined;
  limit: number;
  cursor?: string | undefined;
}

/**
 * The ids of a page. Each condition has an index that holds its updates in the order of their ids. For a hardware type, this merges the first
 * ids of each of its firmwares.
 */
const updateIdPage = ({ status, firmware_id, hardware_type, created_by }: UpdateFilter, { after, direction, size }: Bounds) => {
  const conditions = [
    ...(firmware_id === undefined ? [] : [sql`u.firmware_id = ${firmware_id}`]),
    ...(status === undefined ? [] : [sql`u.status = ${status}`]),
    ...(created_by === undefined ? [] : [sql`u.created_by = ${created_by}`]),
  ];
  const page = (more: readonly RawBuilder<unknown>[]) => {
    const all = [...more, ...conditions];
    const id = [all.length > 0 ? sql`u.id + 0` : sql`u.id`];
    return sql`
      SELECT u.id FROM updates u
      WHERE ${sql.join([comesAfter(id, direction, after), ...all], sql` AND `)}
      ORDER BY ${inOrder(id, direction)}
      LIMIT ${size}`;
  };
  return hardware_type === undefined
    ? page([])
    : sql`
        SELECT page.id
        FROM firmwares f
        CROSS JOIN LATERAL (${page([sql`u.firmware_id = f.id`])}) page
        WHERE f.hardware_type = ${hardware_type}
        ORDER BY ${inOrder([sql`page.id`], direction)}
        LIMIT ${size}`;
};

interface Bounds {
  after: readonly [id: number] | undefined;
  direction: Direction;
  size: number;
}

/** The latest request first, unless another order is wanted. */
export const listUpdates = async (db: Db, filter: UpdateFilter, now: Date): Promise<Page<Update>> => {
  const { limit, cursor, ...conditions } = filter;
  const list = listOf('updates', conditions);
  const direction = directionOf(filter.sort ?? 'created_dt_descending');
  const last = decodeIdCursor(list, cursor);
  const ids = updateIdPage(filter, { after: last === undefined ? undefined : [last], direction, size: limit + 1 });
  const rows = await selectCountedUpdates(db)
    .where(sql<boolean>`u.id IN (${ids})`)
    .orderBy(inOrder([sql`u.id`], direction))
    .execute();
  const { items, next_cursor } = toPage(list, rows, limit, (row) => [row.id]);
  return { items: items.map((row) => toUpdate(row, now)), next_cursor };
};
