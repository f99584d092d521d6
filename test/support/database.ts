import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, inject } from 'vitest';
import { createDatabase, type Db } from '../../lib/db/database.ts';

export interface TestDatabase {
  db: Db;
  url: string;
  /** Statements sent through `db` since the last call, in order. */
  takeStatements(): string[];
}

const withAdmin = async (work: (client: pg.Client) => Promise<unknown>): Promise<void> => {
  const client = new pg.Client({ connectionString: inject('postgresUrl') });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
};

/** A migrated database of its own for a test file, or one without any table; dropped when the file has ended. */
export const createTestDatabase = async ({ maxConnections = 10, isEmpty = false } = {}): Promise<TestDatabase> => {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  // Two clones of one template at a moment are refused by PostgreSQL: the lock makes test files queue up.
  await withAdmin(async (client) => {
    await client.query('SELECT pg_advisory_lock(1)');
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${isEmpty ? 'template0' : 'template'}`);
  });
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  const statements: string[] = [];
  const db = createDatabase({ url: url.href, maxConnections, keepsPlans: true, onStatement: (statement) => statements.push(statement) });
  afterAll(async () => {
    await db.destroy();
    await withAdmin((client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`));
  });
  return { db, url: url.href, takeStatements: () => statements.splice(0) };
};
