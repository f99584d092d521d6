import { sql } from 'kysely';
import pg from 'pg';
import type { Db } from '../db/database.ts';

/** PostgreSQL's codes for an invalid expression, one that needs too much memory, and one that took too long. */
const unusableStates = new Set(['2201B', '57014', '54000', '54001', '53200']);
const longestMilliseconds = 1_000;

/**
 * Whether a whole version matches the pattern of a hardware type. PostgreSQL does the matching: a pattern is a caller's text and must not keep
 * a function busy, and PostgreSQL's expressions do not become exponentially slow and can be stopped.
 */
export const matchesPattern = async (db: Db, version: string, pattern: string): Promise<boolean | 'unusable'> => {
  try {
    return await db.transaction().execute(async (trx) => {
      await sql`SET LOCAL statement_timeout = ${sql.lit(longestMilliseconds)}`.execute(trx);
      // The pattern has to be valid by itself, too: if it were valid only within the brackets, it would not be about the whole text.
      const { rows } = await sql<{ matches: boolean }>`
        SELECT ${version}::text ~ ('^(?:' || ${pattern}::text || ')$') AND (${version}::text ~ ${pattern}::text) IS NOT NULL AS matches`.execute(
        trx,
      );
      return rows[0]?.matches ?? false;
    });
  } catch (error) {
    if (error instanceof pg.DatabaseError && unusableStates.has(error.code ?? '')) return 'unusable';
    throw error;
  }
};
