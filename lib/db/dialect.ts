import {
  type Dialect,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  type PostgresPool,
  PostgresQueryCompiler,
  type TransactionSettings,
} from 'kysely';
import type pg from 'pg';
import { Connection, type ConnectionOptions } from './connection.ts';

/** PostgreSQL for Kysely, with connections that prepare statements and send them without waiting for each answer. */
export const createDialect = (pool: PostgresPool, options: ConnectionOptions): Dialect => ({
  createAdapter: () => new PostgresAdapter(),
  createDriver: () => createDriver(pool, options),
  createQueryCompiler: () => new PostgresQueryCompiler(),
  createIntrospector: (db: Kysely<unknown>) => new PostgresIntrospector(db),
});

const createDriver = (pool: PostgresPool, options: ConnectionOptions): Driver => {
  const connections = new WeakMap<object, Connection>();
  return {
    init: async () => {},
    acquireConnection: async () => {
      const client = (await pool.connect()) as unknown as pg.PoolClient;
      const connection = connections.get(client) ?? new Connection(client, options);
      connections.set(client, connection);
      return connection;
    },
    releaseConnection: async (connection) => (connection as Connection).release(),
    beginTransaction: async (connection, settings) => (connection as Connection).begin(beginningOf(settings)),
    commitTransaction: (connection) => (connection as Connection).commit(),
    rollbackTransaction: (connection) => (connection as Connection).rollback(),
    destroy: () => pool.end(),
  };
};

const beginningOf = ({ isolationLevel, accessMode }: TransactionSettings): string =>
  ['begin', isolationLevel && `isolation level ${isolationLevel}`, accessMode].filter((part) => part).join(' ');
