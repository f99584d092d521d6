import * as z from 'zod/mini';
import type { Db, Trx } from '../db/database.ts';
import { decodeCursor, listOf, type Page, toPage } from '../http/page.ts';
import type { AuthorRoot, RootDocument } from './root.ts';

const selectRoot = (db: Db) =>
  db.selectFrom('author_roots').select(['version', 'document', 'created_by', 'created_dt']).$narrowType<{ document: RootDocument }>();

export const findRoot = (db: Db, version: number): Promise<AuthorRoot | undefined> =>
  selectRoot(db).where('version', '=', version).executeTakeFirst();

export const findLatestRoot = (db: Db): Promise<AuthorRoot | undefined> =>
  selectRoot(db).orderBy('version', 'desc').limit(1).executeTakeFirst();

/** Undefined when somebody has published this version meanwhile. */
export const insertRoot = (trx: Trx, { document, ...root }: AuthorRoot) =>
  trx
    .insertInto('author_roots')
    .values({ ...root, document: JSON.stringify(document) })
    .onConflict((oc) => oc.constraint('author_roots_pkey').doNothing())
    .returning('version')
    .executeTakeFirst();

const Cursor = z.tuple([z.int32()]);
const list = listOf('author roots');

/** The oldest first: a device takes them one after the other. */
export const listRoots = async (
  db: Db,
  { limit, cursor, after_version = 0 }: { limit: number; cursor?: string | undefined; after_version?: number | undefined },
): Promise<Page<AuthorRoot>> => {
  const after = decodeCursor(list, Cursor, cursor)?.[0] ?? after_version;
  const rows = await selectRoot(db)
    .where('version', '>', after)
    .orderBy('version')
    .limit(limit + 1)
    .execute();
  return toPage(list, rows, limit, (row) => [row.version]);
};
