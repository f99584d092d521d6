import { sql } from 'kysely';
import type { Db, Trx } from '../db/database.ts';
import { pageByName } from '../db/page-by-name.ts';
import { listOf, type Page } from '../http/page.ts';
import type { Group, GroupFilter, NewGroup } from './group.ts';

const selectGroups = (db: Db) => db.selectFrom('groups').select(['name', sql<GroupFilter>`filter`.as('filter'), 'comment', 'created_dt']);

/** Undefined when the name is taken. */
export const insertGroup = (trx: Trx, { filter, ...group }: NewGroup, created_dt: Date) =>
  trx
    .insertInto('groups')
    .values({ ...group, filter: JSON.stringify(filter), created_dt })
    .onConflict((oc) => oc.constraint('groups_pkey').doNothing())
    .returning('name')
    .executeTakeFirst();

export const findGroup = (db: Db, name: string): Promise<Group | undefined> => selectGroups(db).where('name', '=', name).executeTakeFirst();

/** Locks a group: waits for others who change it. */
export const lockGroup = (trx: Trx, name: string): Promise<Group | undefined> =>
  selectGroups(trx).where('name', '=', name).forNoKeyUpdate().executeTakeFirst();

export const updateGroup = async (trx: Trx, { name, filter, comment }: NewGroup): Promise<void> => {
  await trx
    .updateTable('groups')
    .set({ filter: JSON.stringify(filter), comment })
    .where('name', '=', name)
    .execute();
};

export const deleteGroup = async (trx: Trx, name: string): Promise<void> => {
  await trx.deleteFrom('groups').where('name', '=', name).execute();
};

const list = listOf('groups');

/** In the order of their names. */
export const listGroups = (db: Db, page: { limit: number; cursor?: string | undefined }): Promise<Page<Group>> =>
  pageByName(list, selectGroups(db), page);
