import type { Db, Trx } from '../db/database.ts';
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
  'needs_approval',
  'approved_by',
  'approved_dt',
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
  needs_approval: boolean;
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

/** For whoever decides about a key and then changes it. */
export const lockAuthorKey = (trx: Trx, id: number): Promise<AuthorKey | undefined> =>
  selectAuthorKey(trx).where('id', '=', id).forUpdate().executeTakeFirst();

/** Only while the key is locked. */
export const approveKey = (trx: Trx, id: number, approval: { approved_by: string; approved_dt: Date }): Promise<AuthorKey> =>
  trx.updateTable('author_keys').set(approval).where('id', '=', id).returning(columns).$narrowType<Narrowed>().executeTakeFirstOrThrow();

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
