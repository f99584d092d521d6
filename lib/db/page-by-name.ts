import { type SelectQueryBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import { decodeCursor, type List, type Page, toPage } from '../http/page.ts';
import { requestedText } from '../text.ts';
import type { DB } from './schema.ts';

const Cursor = z.tuple([requestedText(64)]);

/** A page of rows that have a name of up to 64 characters as their key, in the order of their names by character codes. */
export const pageByName = async <Table extends keyof DB, Row extends { name: string }>(
  list: List,
  query: SelectQueryBuilder<DB, Table, Row>,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<Page<Row>> => {
  const name = sql<string>`name COLLATE "C"`;
  const after = decodeCursor(list, Cursor, cursor);
  const rows = await (after ? query.where(name, '>', after[0]) : query)
    .orderBy(name)
    .limit(limit + 1)
    .execute();
  return toPage(list, rows as Row[], limit, (row) => [row.name]);
};
