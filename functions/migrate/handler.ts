import * as z from 'zod/mini';
import { createDatabase } from '../../lib/db/database.ts';
import { migrateToLatest } from '../../lib/db/migrate.ts';
import { raiseAllIds } from '../../lib/db/raise-ids.ts';
import { raiseVersionNumbers } from '../../lib/firmware/hardware-type-queries.ts';
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
 * `restored`: the database was restored to an earlier moment since this function was called last. `restores`: how often this environment has
 * been restored, this time included.
 */
const MigrateEvent = z.strictObject({
  restored: z._default(z.boolean(), false),
  restores: z._default(z.int().check(z.minimum(1), z.maximum(100)), 1),
});

export interface MigrateAnswer {
  /** Migrations that were applied now, by name. */
  applied: string[];
  /** After a restore: the number at which each sequence goes on. */
  raised: Record<string, number>;
}

/**
 * Brings the database to the schema that this version of the service needs; every deploy calls it before it replaces the functions. May be
 * repeated, and runs while the old functions serve: migrations keep the previous release working (each says so in its first line). Afterwards
 * ids of executions begin where this environment's ids begin; after a restore, all ids go on beyond those that may have been given out.
 *
 * Throws when a migration fails; those before it stay.
 */
export const createHandler =
  ({ databaseUrl, log, firstExecutionId, ...connection }: MigrateDeps) =>
  async (event: unknown = {}): Promise<MigrateAnswer> => {
    const { restored, restores } = MigrateEvent.parse(event);
    const applied = await migrateToLatest(databaseUrl, connection);
    const db = createDatabase({ ...connection, url: databaseUrl, maxConnections: 1 });
    try {
      await raiseExecutionIds(db, firstExecutionId);
      const raised = restored ? await raiseAllIds(db, restores) : {};
      if (restored) await raiseVersionNumbers(db, restores);
      log.info('migrated', { migrations: applied.length, last: applied.at(-1), restored });
      return { applied, raised };
    } finally {
      await db.destroy();
    }
  };
