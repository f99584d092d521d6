import { createDatabase } from '../../lib/db/database.ts';
import { migrateToLatest } from '../../lib/db/migrate.ts';
import type { Log } from '../../lib/log.ts';
import type { Secret } from '../../lib/secret.ts';
import { raiseExecutionIds } from '../../lib/update/execution-ids.ts';

export interface MigrateDeps {
  databaseUrl: string;
  password?: Secret;
  isProxied?: boolean;
  /** Where the ids of executions begin in this environment. */
  firstExecutionId: number;
  log: Log;
}

/**
 * Brings the database to the schema that this version of the service needs; a step of every deploy, before the new functions. Safe to
 * repeat, and while the old ones serve: migrations only add what the release before does not need (each says so in its first line).
 * Ids of executions begin where this environment's do from then on.
 *
 * @returns the names of the migrations that were applied now. Throws when one fails; those before it stay.
 */
export const createHandler =
  ({ databaseUrl, log, firstExecutionId, ...connection }: MigrateDeps) =>
  async (): Promise<{ applied: string[] }> => {
    const applied = await migrateToLatest(databaseUrl, connection);
    const db = createDatabase({ ...connection, url: databaseUrl, maxConnections: 1 });
    try {
      await raiseExecutionIds(db, firstExecutionId);
    } finally {
      await db.destroy();
    }
    log.info('migrated', { migrations: applied.length, last: applied.at(-1) });
    return { applied };
  };
