import { type Clock, systemClock } from './clock.ts';
import type { ApiConfig, Config, DatabaseConfig } from './config.ts';
import { createDatabase, type Db } from './db/database.ts';
import { authenticateBy } from './http/authenticate.ts';
import type { HttpDeps } from './http/endpoint.ts';
import { createLog, type Log } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { createSecret } from './secret.ts';

export interface ServiceDeps {
  db: Db;
  log: Log;
  metrics: Metrics;
  now: Clock;
}

export interface FunctionKind {
  /** Whether its statements are planned once per connection; for statements that find their rows by keys (lib/db/database.ts). */
  keepsPlans?: boolean;
}

/** The dependencies of every function: database, log, metrics and clock. Made once per process. */
export const createServiceDeps = (config: Config<typeof DatabaseConfig>, { keepsPlans = false }: FunctionKind = {}): ServiceDeps => {
  const log = createLog();
  const db = createDatabase({
    url: config.DATABASE_URL,
    ...(config.DATABASE_PASSWORD && { password: createSecret(config.DATABASE_PASSWORD) }),
    isProxied: config.DATABASE_IS_PROXIED === 'true',
    keepsPlans: keepsPlans && config.DATABASE_PREPARED_STATEMENTS === 'true',
    maxConnections: config.DATABASE_MAX_CONNECTIONS,
    onIdleError: (error) => log.warn('database connection lost', { error }),
  });
  return { db, log, metrics: createMetrics(), now: systemClock };
};

/** The same for functions of the API, with the authentication of callers. */
export const createApiDeps = (config: Config<typeof ApiConfig>, kind?: FunctionKind): ServiceDeps & HttpDeps => ({
  ...createServiceDeps(config, kind),
  authenticate: authenticateBy(config),
});
