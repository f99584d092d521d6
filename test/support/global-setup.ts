import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../dev/stack/postgres.ts';
import { migrateToLatest } from '../../lib/db/migrate.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the server; each test file clones the database `template`. */
    postgresUrl: string;
  }
}

/** One throw-away PostgreSQL for the run, with a migrated database to clone. */
export default async function setup(project: TestProject) {
  const postgres = await startPostgres();
  await migrateToLatest(await postgres.createDatabase('template'));
  project.provide('postgresUrl', postgres.url);
  return () => postgres.stop();
}
