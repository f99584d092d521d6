import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { PostgresPool } from 'kysely';
import pg from 'pg';
import { parseIntoClientConfig } from 'pg-connection-string';
import type { Secret } from '../secret.ts';
import { endsConnection, refusesPassword } from './database-error.ts';

/**
 * A statement without an answer may simply take long (it plans an update for a million devices, or waits for a lock), or the server has gone
 * without closing its connections. So after this time the server is asked whether it still takes connections, and again after twice that
 * time, and so on. Hardly any statement takes so long.
 */
const patienceMilliseconds = 1_000;
/** Together with the patience above this is less than 3 s. */
const probeTimeoutMilliseconds = 1_500;
/** Above the server's own limit for a statement. By then the server has ended the statement, unless the connection is dead and it never got it. */
const answerTimeoutMilliseconds = 26_000;

/**
 * A function's process is frozen between two requests, and learns only afterwards that connections have been closed meanwhile. So before a
 * connection is lent, this waits for the rest of this turn of the event loop and for a whole further one: by then the pool has thrown away
 * the connections that the server has closed and those that were idle for too long. If the password is refused, it may have been rotated;
 * nothing was sent yet, so the new one is tried.
 */
export const lendOnlyLiving = (pool: pg.Pool, password?: Secret): PostgresPool => ({
  connect: async () => {
    await setImmediate();
    await setImmediate();
    // The password is read first: if reading failed while pg makes a connection, pg would leave that open, and the server wait for a minute.
    await password?.read();
    try {
      return await pool.connect();
    } catch (error) {
      if (!password || !refusesPassword(error)) throw error;
      await password.refresh();
      return pool.connect();
    }
  },
  end: () => pool.end(),
  options: pool.options,
});

/**
 * Ends a connection on which no further answer will come. Its statement fails as on any connection that breaks, and the pool makes a new one.
 */
export const watchStatements = (client: pg.PoolClient, isServerThere: () => Promise<boolean>): void => {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  const watchedQuery = async (...args: unknown[]) => {
    const started = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const watch = (milliseconds: number) => {
      timer = setTimeout(async () => {
        const left = answerTimeoutMilliseconds - (performance.now() - started);
        const isHopeless = left <= 0 || !(await isServerThere());
        if (!timer) return;
        if (isHopeless) hangUp(client);
        else watch(Math.min(2 * milliseconds, left));
      }, milliseconds);
    };
    watch(patienceMilliseconds);
    try {
      return await query(...args);
    } catch (error) {
      // The server is about to close this connection. It is closed here first, so that the pool does not lend it once more.
      if (endsConnection(error)) hangUp(client);
      throw error;
    } finally {
      clearTimeout(timer);
      timer = undefined;
    }
  };
  Object.assign(client, { query: watchedQuery });
};

/** Closes a connection at once: `end` alone would wait for the answers to statements that were sent. */
const hangUp = (client: pg.PoolClient): void => {
  void client.end();
  (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
};

/** The address in its parts: if pg gets it as a whole, it ignores a separate password. */
export const connectionTo = (url: string, password?: Secret): pg.ClientConfig => ({
  ...parseIntoClientConfig(url),
  ...(password && { password: password.read }),
});

/** Whether a server answers, even if only to refuse: because it has no free connection, or because of the password. */
export const takesConnections = async (url: string, password?: Secret): Promise<boolean> => {
  const client = new pg.Client({
    ...connectionTo(url, password),
    connectionTimeoutMillis: probeTimeoutMilliseconds,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return true;
  } catch (error) {
    return error instanceof pg.DatabaseError;
  } finally {
    void client.end();
  }
};
