import { sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { migrations } from '../../migrations/index.ts';
import { createDatabase, type DatabaseOptions } from './database.ts';

/**
 * Brings a database, empty or filled, to the newest schema. Safe to repeat and to start twice at once: Kysely's migrator holds an
 * advisory lock, and each migration runs in one transaction with its own record.
 *
 * @returns the names of those that were applied now.
 * @throws the error of the migration that failed; those before it stay applied.
 */
export async function migrateToLatest(
  databaseUrl: string,
  options: Pick<DatabaseOptions, 'password' | 'isProxied'> = {},
): Promise<string[]> {
  const db = createDatabase({ ...options, url: databaseUrl, maxConnections: 1 });
  try {
    // On a filled database a migration may take longer than functions allow a statement.
    await sql`SET statement_timeout = 0`.execute(db);
    const provider = { getMigrations: async () => migrations };
    // Branches may be merged in another order than they were begun: a database that has a later migration still gets an earlier one.
    const migrator = new Migrator({ db, provider, allowUnorderedMigrations: true });
    const { error, results = [] } = await migrator.migrateToLatest();
    if (error) throw error;
    return results.map(({ migrationName }) => migrationName);
  } finally {
    await db.destroy();
  }
}
