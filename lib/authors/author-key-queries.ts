import type { Db } from '../db/database.ts';
import { decodeIdCursor, listOf, type Page, toPage } from '../http/page.ts';
import type { AuthorKey, AuthorPublicKey } from './author-key.ts';

const columns = [
  'id',
  'kid',
  'owner',
  'public_key',
  'hardware_types',
  'valid_from_dt',
  'valid_until_dt',
  'revoked_dt',
  'revoked_by',
  'revocation_reason',
  'created_by',
  'created_dt',
] as const;
type Narrowed = { public_key: AuthorPublicKey };

const selectAuthorKey = (db: Db) => db.selectFrom('author_keys').select(columns).$narrowType<Narrowed>();

export interface AuthorKeyRow extends Pick<AuthorKey, 'kid' | 'owner' | 'public_key' | 'hardware_types' | 'valid_from_dt'> {
  valid_until_dt: Date | null;
  created_by: string;
  created_dt: Date;
}

/** Undefined when the same key is here already. */
export const insertAuthorKey = (db: Db, { public_key, ...key }: AuthorKeyRow): Promise<AuthorKey | undefined> =>
  db
    .insertInto('author_keys')
    .values({ ...key, public_key: JSON.stringify(public_key) })
    .onConflict((oc) => oc.constraint('author_keys_kid_key').doNothing())
    .returning(columns)
    .$narrowType<Narrowed>()
    .executeTakeFirst();

export const findAuthorKey = (db: Db, id: number): Promise<AuthorKey | undefined> =>
  selectAuthorKey(db).where('id', '=', id).executeTakeFirst();

export const listAuthorKeysByKid = (db: Db, kids: readonly string[]): Promise<AuthorKey[]> =>
  kids.length === 0
    ? Promise.resolve([])
    : selectAuthorKey(db)
        .where('kid', 'in', [...kids])
        .execute();

/** Undefined when there is no such key, or it was revoked before. */
export const revokeKey = (
  db: Db,
  id: number,
  revocation: { revoked_dt: Date; revoked_by: string; revocation_reason: string },
): Promise<AuthorKey | undefined> =>
  db
    .updateTable('author_keys')
    .set(revocation)
    .where('id', '=', id)
    .where('revoked_dt', 'is', null)
    .returning(columns)
    .$narrowType<Narrowed>()
    .executeTakeFirst();

const list = listOf('author keys');

/** In the order in which they were added. */
export const listAuthorKeys = async (
  db: Db,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<Page<AuthorKey>> => {
  const after = decodeIdCursor(list, cursor) ?? 0;
  const rows = await selectAuthorKey(db)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit + 1)
    .execute();
  return toPage(list, rows, limit, (row) => [row.id]);
};
