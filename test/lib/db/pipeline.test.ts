import { sql } from 'kysely';
import { afterAll, describe, expect, it } from 'vitest';
import { createDatabase, type Db } from '../../../lib/db/database.ts';
import { inOneTrip, sendAhead } from '../../../lib/db/pipeline.ts';
import { createTestDatabase } from '../../support/database.ts';
import { startWire } from '../../support/wire.ts';

const { url } = await createTestDatabase({ isEmpty: true });
const wire = await startWire(url);
const pipelined = createDatabase({ url: wire.url, maxConnections: 1, keepsPlans: true });
const oneByOne = createDatabase({ url: wire.url, maxConnections: 1, keepsPlans: true, isProxied: true });
await sql`CREATE TABLE notes (id integer PRIMARY KEY)`.execute(pipelined);
afterAll(async () => {
  await pipelined.destroy();
  await oneByOne.destroy();
  await wire.close();
});

const insert = (id: number) => sql`INSERT INTO notes (id) VALUES (${id})`;
const failure = sql`SELECT 1 / 0`;
const stored = async (db: Db): Promise<number[]> => {
  const { rows } = await sql<{ id: number }>`DELETE FROM notes RETURNING id`.execute(db);
  return rows.map(({ id }) => id);
};

describe.each([
  { name: 'a server that takes statements before it has answered', db: pipelined },
  { name: 'a server in front of it that may not', db: oneByOne },
])('$name', ({ db }) => {
  it('answers each of several statements, in their order', async () => {
    const answers = await inOneTrip<[{ n: number }, { text: string }, { n: number }]>(
      db,
      sql`SELECT 1 AS n`,
      sql`SELECT ${'two'}::text AS text`,
      sql`SELECT n FROM generate_series(3, 4) AS n`,
    );
    expect(answers).toEqual([[{ n: 1 }], [{ text: 'two' }], [{ n: 3 }, { n: 4 }]]);
  });

  it('stores nothing when one of several statements fails, and tells why that one failed', async () => {
    const work = db.transaction().execute((trx) => inOneTrip(trx, insert(1), failure, insert(2)));
    await expect(work).rejects.toThrow('division by zero');
    expect(await stored(db)).toEqual([]);
  });

  it('stores what is sent together with the commit', async () => {
    await db.transaction().execute((trx) => sendAhead(trx, [insert(1), insert(2)]));
    expect(await stored(db)).toEqual([1, 2]);
  });

  it('stores nothing when what is sent together with the commit fails, and tells why', async () => {
    const work = db.transaction().execute(async (trx) => {
      await insert(1).execute(trx);
      await sendAhead(trx, [insert(2), failure, insert(3)]);
    });
    await expect(work).rejects.toThrow('division by zero');
    expect(await stored(db)).toEqual([]);
  });

  it('tells why what was sent ahead has failed, whichever statement follows', async () => {
    const work = db.transaction().execute(async (trx) => {
      await sendAhead(trx, [failure]);
      await insert(1).execute(trx);
    });
    await expect(work).rejects.toThrow('division by zero');
    expect(await stored(db)).toEqual([]);
  });

  it('stores nothing when the work fails after it has sent its last statements', async () => {
    const work = db.transaction().execute(async (trx) => {
      await sendAhead(trx, [insert(1), failure]);
      throw new Error('changed its mind');
    });
    await expect(work).rejects.toThrow('changed its mind');
    expect(await stored(db)).toEqual([]);
  });

  it('begins a transaction before its first statement', async () => {
    const work = db.transaction().execute(async (trx) => {
      await insert(1).execute(trx);
      throw new Error('changed its mind');
    });
    await expect(work).rejects.toThrow('changed its mind');
    expect(await stored(db)).toEqual([]);
  });

  it('tells that the server is gone from the first statement of a transaction', async () => {
    const down = createDatabase({ url: 'postgres://nobody@127.0.0.1:1/none', maxConnections: 1 });
    await expect(down.transaction().execute((trx) => insert(1).execute(trx))).rejects.toThrow('ECONNREFUSED');
    await down.destroy();
  });
});

it('waits for the network twice in a transaction of many statements', async () => {
  wire.take();
  await pipelined.transaction().execute(async (trx) => {
    await inOneTrip(trx, sql`SELECT 1`, sql`SELECT 2`, sql`SELECT 3`);
    await sendAhead(trx, [insert(1), insert(2)]);
  });
  const { sent, trips } = wire.take();
  expect({ statements: sent.length, trips }).toEqual({ statements: 7, trips: 2 });
});
