import type { RawBuilder } from 'kysely';
import { type Connection, firstFailure } from './connection.ts';
import type { Db, Trx } from './database.ts';

/**
 * Statements that do not need each other's answers go to the server one right behind the other, and it carries them out in this order: a
 * transaction then waits for the network twice, not once for each of its statements. Nothing else changes: of a transaction in which one
 * fails the server refuses all that follow, and its COMMIT.
 */
type Statements<Rows extends readonly unknown[]> = { [Index in keyof Rows]: RawBuilder<Rows[Index]> };
type Answers<Rows extends readonly unknown[]> = { [Index in keyof Rows]: Rows[Index][] };

/** The rows of each statement, in their order. @throws what the first that failed has failed with. */
export const inOneTrip = <Rows extends readonly unknown[]>(db: Db | Trx, ...statements: Statements<Rows>): Promise<Answers<Rows>> =>
  db.getExecutor().provideConnection(async (connection) => {
    const results = await firstFailure(statements.map((statement) => connection.executeQuery(statement.compile(db))));
    return results.map(({ rows }) => rows) as Answers<Rows>;
  });

/**
 * Statements of a transaction on whose answers nothing depends: they are sent, and whatever follows waits for them. The last ones so are on
 * their way together with the COMMIT. When one of them fails, what follows fails with its error.
 */
export const sendAhead = (trx: Trx, statements: readonly RawBuilder<unknown>[]): Promise<void> =>
  trx.getExecutor().provideConnection(async (connection) => {
    (connection as Connection).sendAhead(statements.map((statement) => statement.compile(trx)));
  });
