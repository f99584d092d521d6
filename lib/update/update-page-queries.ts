import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { decodeIdCursor, listOf, type Page, toPage } from '../http/page.ts';
import type { Update } from './update.ts';
import { selectCountedUpdates, toUpdate } from './update-queries.ts';
import type { UpdateStatus } from './update-status.ts';

export interface UpdateFilter {
  status?: UpdateStatus | undefined;
  firmware_id?: number | undefined;
  hardware_type?: string | undefined;
  created_by?: string | undefined;
  limit: number;
  cursor?: string | undefined;
}

/**
 * The ids of a page: each condition has an index that holds its updates in the order of their ids. Those of a hardware type are the first ones
 * of each of its firmwares, merged.
 */
const updateIdPage = ({ status, firmware_id, hardware_type, created_by }: UpdateFilter, before: number | undefined, size: number) => {
  const conditions = [
    ...(firmware_id === undefined ? [] : [sql`u.firmware_id = ${firmware_id}`]),
    ...(status === undefined ? [] : [sql`u.status = ${status}`]),
    ...(created_by === undefined ? [] : [sql`u.created_by = ${created_by}`]),
  ];
  const page = (more: readonly RawBuilder<unknown>[]) => {
    const all = [...more, ...conditions];
    const id = all.length > 0 ? sql`u.id + 0` : sql`u.id`;
    const from = before === undefined ? sql`true` : sql`${id} < ${before}`;
    return sql`
      SELECT u.id FROM updates u
      WHERE ${sql.join([from, ...all], sql` AND `)}
      ORDER BY ${id} DESC
      LIMIT ${size}`;
  };
  return hardware_type === undefined
    ? page([])
    : sql`
        SELECT page.id
        FROM firmwares f
        CROSS JOIN LATERAL (${page([sql`u.firmware_id = f.id`])}) page
        WHERE f.hardware_type = ${hardware_type}
        ORDER BY page.id DESC
        LIMIT ${size}`;
};

/** The latest request first. */
export const listUpdates = async (db: Db, filter: UpdateFilter, now: Date): Promise<Page<Update>> => {
  const { limit, cursor, ...conditions } = filter;
  const list = listOf('updates', conditions);
  const before = decodeIdCursor(list, cursor);
  const rows = await selectCountedUpdates(db)
    .where(sql<boolean>`u.id IN (${updateIdPage(filter, before, limit + 1)})`)
    .orderBy('u.id', 'desc')
    .execute();
  const { items, next_cursor } = toPage(list, rows, limit, (row) => [row.id]);
  return { items: items.map((row) => toUpdate(row, now)), next_cursor };
};
