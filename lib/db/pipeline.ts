import { type DatabaseConnection, PostgresDialect, PostgresDriver, type QueryResult, type RawBuilder } from 'kysely';
import type pg from 'pg';
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

/** What was sent and not waited for, of each connection: the COMMIT that follows it waits for both. */
const sentAhead = new WeakMap<DatabaseConnection, Promise<QueryResult<unknown>>[]>();

/**
 * The last statements of a transaction, on whose answers nothing depends: they are on their way together with its COMMIT. When one of them
 * fails, the transaction fails with its error.
 */
export const sendWithCommit = (trx: Trx, statements: readonly RawBuilder<unknown>[]): Promise<void> =>
  trx.getExecutor().provideConnection(async (connection) => {
    const sent = statements.map((statement) => connection.executeQuery<unknown>(statement.compile(trx)));
    for (const each of sent) each.catch(() => {}); // told by the COMMIT
    sentAhead.set(connection, [...(sentAhead.get(connection) ?? []), ...sent]);
  });

/** All have ended when this one does: nothing is left behind on a connection that is used for something else next. */
const firstFailure = async <Result>(sent: readonly Promise<Result>[]): Promise<Result[]> => {
  const outcomes = await Promise.allSettled(sent);
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
};

class PipeliningDriver extends PostgresDriver {
  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    const ahead = sentAhead.get(connection) ?? [];
    sentAhead.delete(connection);
    await firstFailure<unknown>([...ahead, super.commitTransaction(connection)]);
  }

  override async rollbackTransaction(connection: Parameters<PostgresDriver['rollbackTransaction']>[0]): Promise<void> {
    sentAhead.delete(connection);
    await super.rollbackTransaction(connection);
  }
}

export class PipeliningDialect extends PostgresDialect {
  readonly #config: ConstructorParameters<typeof PostgresDialect>[0];

  constructor(config: ConstructorParameters<typeof PostgresDialect>[0]) {
    super(config);
    this.#config = config;
  }

  override createDriver(): PostgresDriver {
    return new PipeliningDriver(this.#config);
  }
}

const begun = { command: 'BEGIN', rows: [], rowCount: null } as const;

/** BEGIN costs no trip of its own: it is sent, and the first statement after it waits for both, and fails with it. */
export const beginWithFirstStatement = (client: pg.PoolClient): void => {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  let beginning: Promise<unknown> | undefined;
  Object.assign(client, {
    query: async (...args: unknown[]) => {
      if (args[0] === 'begin') {
        beginning = query(...args);
        beginning.catch(() => {}); // told by the statement that follows
        return begun;
      }
      const before = beginning;
      beginning = undefined;
      return before ? (await firstFailure([before, query(...args)]))[1] : query(...args);
    },
  });
};

/** For a server in front of the database that may not bear statements which come before the last one is answered. */
export const sendOneByOne = (client: pg.PoolClient): void => {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  let last: Promise<unknown> = Promise.resolve();
  Object.assign(client, {
    query: (...args: unknown[]) => {
      const send = () => query(...args);
      const answer = last.then(send, send);
      last = answer;
      return answer;
    },
  });
};
