import { sql } from 'kysely';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createDatabase, type Db } from '../../../lib/db/database.ts';
import { toDomainError } from '../../../lib/db/database-error.ts';
import { createTestDatabase } from '../../support/database.ts';

const { url } = await createTestDatabase({ isEmpty: true });

const given = (keepsPlans: boolean, isProxied = false): Db => {
  const db = createDatabase({ url, maxConnections: 1, keepsPlans, isProxied });
  onTestFinished(() => db.destroy());
  return db;
};
const prepared = async (db: Db): Promise<{ statement: string; generic_plans: number; custom_plans: number }[]> => {
  const { rows } = await sql<{ statement: string; generic_plans: number; custom_plans: number }>`
    SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements`.execute(db);
  return rows;
};

describe('a database whose plans are kept', () => {
  it.each([
    { name: 'that is reached directly', isProxied: false },
    { name: 'behind a proxy', isProxied: true },
  ])('plans a statement once, whatever its values, also for arrays of very different sizes: $name', async ({ isProxied }) => {
    const db = given(true, isProxied);
    for (const length of [1, 1_000, 1, 10])
      await sql`SELECT count(*) FROM unnest(${Array.from({ length }, (_, i) => i)}::integer[]) AS n`.execute(db);
    const counting = (await prepared(db)).find(({ statement }) => statement.includes('unnest'));
    expect(counting).toMatchObject({ generic_plans: 4, custom_plans: 0 });
  });

  it('keeps no more than fifty statements for a connection', async () => {
    const db = given(true);
    for (let n = 0; n < 60; n += 1) await sql`SELECT ${n}::integer AS ${sql.ref(`n${n}`)}`.execute(db);
    expect(await prepared(db)).toHaveLength(50);
    expect((await sql<{ n59: number }>`SELECT ${59}::integer AS n59`.execute(db)).rows).toEqual([{ n59: 59 }]);
  });

  it('503: a statement whose answer a migration has changed, once; then it is prepared anew', async () => {
    const db = given(true);
    await sql`CREATE TABLE notes (id integer)`.execute(db);
    const select = sql`SELECT * FROM notes`;
    await select.execute(db);
    await sql`ALTER TABLE notes ADD COLUMN text text`.execute(db);
    const error = await select.execute(db).catch((reason: unknown) => reason);
    expect(toDomainError(error)).toMatchObject({ code: 'database.unavailable' });
    expect((await select.execute(db)).rows).toEqual([]);
  });
});

it('keeps no statement where plans are not kept', async () => {
  const db = given(false);
  await sql`SELECT ${1}::integer AS n`.execute(db);
  expect(await prepared(db)).toEqual([]);
});
