import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { PostgresPool } from 'kysely';
import pg from 'pg';
import { parseIntoClientConfig } from 'pg-connection-string';
import type { Secret } from '../secret.ts';
import { endsConnection, refusesPassword } from './database-error.ts';

/**
 * A statement may take long, for example one that plans an update for a million devices or waits for a lock; a server that has gone
 * without closing its connections keeps silent as well. So after this time it is asked whether it still takes connections, and again
 * after twice that time, and so on. Hardly any statement takes so long.
 */
const patienceMilliseconds = 1_000;
/** Together with the patience below 3 s. */
const probeTimeoutMilliseconds = 1_500;
/** Above the server's own limit for a statement: it has ended it by then, unless it never got it because the connection is dead on the way. */
const answerTimeoutMilliseconds = 26_000;

/**
 * A function's environment is frozen between two requests, and learns only afterwards what became of its connections meanwhile: a whole
 * turn of the event loop, and what is left of this one, before one is lent. By then the pool has thrown away those that the server has
 * closed and those that were idle for too long. A password that is refused may have been rotated: nothing was sent yet, so that the
 * new one can be tried.
 */
export const lendOnlyLiving = (pool: pg.Pool, password?: Secret): PostgresPool => ({
  connect: async () => {
    await setImmediate();
    await setImmediate();
    // First: where it cannot be read while a connection is made, pg leaves that one open, and the server waits for a minute.
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
 * Ends a connection on which no answer will come, or no further one; its statement fails as on any connection that breaks, and the pool
 * makes a new one.
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
      // The server hangs up next, or we do; before that the pool would lend the connection once more.
      if (endsConnection(error)) hangUp(client);
      throw error;
    } finally {
      clearTimeout(timer);
      timer = undefined;
    }
  };
  Object.assign(client, { query: watchedQuery });
};

/** At once: with statements on their way `end` alone would wait for their answers. */
const hangUp = (client: pg.PoolClient): void => {
  void client.end();
  (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
};

/** The address in its parts: beside a whole one pg would not look at another password. */
export const connectionTo = (url: string, password?: Secret): pg.ClientConfig => ({
  ...parseIntoClientConfig(url),
  ...(password && { password: password.read }),
});

/** Also one that has no connection to give, or does not let us in, is there. */
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
