import type { RawBuilder } from 'kysely';
import { type Connection, firstFailure } from './connection.ts';
import type { Db, Trx } from './database.ts';

/**
 * Statements that do not need each other's answers are sent to the server without a pause, and it carries them out in this order. So a
 * transaction waits for the network twice, not once per statement. Nothing else changes: when a statement fails, the server refuses all that
 * follow it in the transaction, and the COMMIT.
 */
type Statements<Rows extends readonly unknown[]> = { [Index in keyof Rows]: RawBuilder<Rows[Index]> };
type Answers<Rows extends readonly unknown[]> = { [Index in keyof Rows]: Rows[Index][] };

/** The rows of each statement, in their order. @throws the error of the first statement that failed. */
export const inOneTrip = <Rows extends readonly unknown[]>(db: Db | Trx, ...statements: Statements<Rows>): Promise<Answers<Rows>> =>
  db.getExecutor().provideConnection(async (connection) => {
    const results = await firstFailure(statements.map((statement) => connection.executeQuery(statement.compile(db))));
    return results.map(({ rows }) => rows) as Answers<Rows>;
  });

/**
 * Sends statements of a transaction whose answers nobody needs. The next statement waits for them, or the COMMIT, which then travels together
 * with them. When one of them fails, whatever follows fails with its error.
 */
export const sendAhead = (trx: Trx, statements: readonly RawBuilder<unknown>[]): Promise<void> =>
  trx.getExecutor().provideConnection(async (connection) => {
    (connection as Connection).sendAhead(statements.map((statement) => statement.compile(trx)));
  });
