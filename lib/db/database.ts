import { Kysely, type Transaction } from 'kysely';
import pg from 'pg';
import type { Secret } from '../secret.ts';
import { createDialect } from './dialect.ts';
import { connectionTo, lendOnlyLiving, takesConnections, watchStatements } from './liveness.ts';
import type { DB } from './schema.ts';

export type Db = Kysely<DB>;
/** Demanded where a lock is taken: passing the pool does not compile. */
export type Trx = Transaction<DB>;

export interface DatabaseOptions {
  url: string;
  /** Used when the address has no password. It is read again when the server refuses it, because it may have been rotated. */
  password?: Secret;
  /** Behind RDS Proxy: it refuses settings at the start of a connection, and sets the time limits itself (resources/database/rds.yml). */
  isProxied?: boolean;
  /**
   * Whether statements are planned once per connection, whatever their values are. This is for functions whose statements find their rows by
   * keys. Where the best plan depends on the value (few rows or many), it is better to plan each call.
   */
  keepsPlans?: boolean;
  /** One function environment serves one request at a time, so one connection is enough outside of local development. */
  maxConnections: number;
  /** Told about a connection that broke while idle, for example after a freeze; the pool replaces it by itself. */
  onIdleError?: (error: Error) => void;
  /** Told about every statement sent, transaction control included; what tests and the bench count round trips with. */
  onStatement?: (statement: string, parameters: readonly unknown[]) => void;
}

/**
 * How long opening a connection may take, and how long a request waits for a free one. Callers learn within 3 s that the database is down
 * (G6). A connection usually takes some 10 ms, and some 100 ms to a server that is just being woken.
 */
const connectTimeoutMilliseconds = 2_000;
/** Below API Gateway's 29 s, so that the server ends a statement before its caller has gone. */
const statementTimeoutMilliseconds = 25_000;

/**
 * Reads a moment in UTC as PostgreSQL writes it, with JavaScript's own parser: pg's parser takes several times as long, and a page of devices
 * has a thousand moments. Any other text is left to pg's parser.
 */
const parseTimestamp = (text: string): unknown =>
  text.length >= 22 && text.endsWith('+00') && text[10] === ' '
    ? new Date(`${text.slice(0, 10)}T${text.slice(11, -3)}Z`)
    : pg.types.getTypeParser(pg.types.builtins.TIMESTAMPTZ)(text);

const parsers = new Map<number, (text: string) => unknown>([
  [pg.types.builtins.INT8, Number],
  [pg.types.builtins.TIMESTAMPTZ, parseTimestamp],
]);

/** Without this PostgreSQL plans anew at each call: the arrays sent are shorter than it assumes for a kept plan, which so looks more expensive. */
const planOnce = 'plan_cache_mode=force_generic_plan';

/** Opens no connection before the first query. 64-bit integers are answered as numbers: ids and sizes stay far below 2^53. */
export const createDatabase = (options: DatabaseOptions): Db => {
  const { url, password, isProxied = false, keepsPlans = false, maxConnections, onIdleError, onStatement } = options;
  const pool = new pg.Pool({
    ...connectionTo(url, password),
    max: maxConnections,
    connectionTimeoutMillis: connectTimeoutMilliseconds,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    ...(!isProxied && {
      statement_timeout: statementTimeoutMilliseconds,
      // A function that dies inside a transaction leaves its locks behind for at most this long.
      idle_in_transaction_session_timeout: statementTimeoutMilliseconds,
    }),
    ...(keepsPlans && !isProxied && { options: `-c ${planOnce}` }),
    pipeline: !isProxied,
    application_name: process.env['AWS_LAMBDA_FUNCTION_NAME'] ?? 'scooters-updater',
    types: { getTypeParser: (oid, format) => parsers.get(oid) ?? pg.types.getTypeParser(oid, format) },
  });
  pool.on('error', (error) => onIdleError?.(error));
  // When a connection breaks at work, its query fails. Without a listener the same error would also end the process.
  pool.on('connect', (client) => client.on('error', () => {}));
  pool.on('connect', (client) => watchStatements(client, () => takesConnections(url, password)));
  // The error may be ignored: if the connection breaks here, its first statement fails, too.
  if (keepsPlans && isProxied) pool.on('connect', (client) => client.query(`SET ${planOnce}`).catch(() => {}));
  if (onStatement) pool.on('connect', (client) => reportStatements(client, onStatement));
  return new Kysely<DB>({ dialect: createDialect(lendOnlyLiving(pool, password), { prepares: keepsPlans, pipelines: !isProxied }) });
};

const reportStatements = (client: pg.PoolClient, onStatement: NonNullable<DatabaseOptions['onStatement']>): void => {
  const query = client.query.bind(client) as (...args: unknown[]) => unknown;
  Object.assign(client, {
    query: (...args: unknown[]) => {
      const [first, second] = args as [string | { text: string; values: unknown[] }, unknown[] | undefined];
      const { text, values } = typeof first === 'string' ? { text: first, values: second ?? [] } : first;
      onStatement(text, values);
      return query(...args);
    },
  });
};
