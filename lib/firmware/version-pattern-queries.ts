import { sql } from 'kysely';
import pg from 'pg';
import type { Db } from '../db/database.ts';

/** PostgreSQL's own words for an expression that is none, that would need too much memory, or that took too long. */
const unusableStates = new Set(['2201B', '57014', '54000', '54001', '53200']);
const longestMilliseconds = 1_000;

/**
 * Whether the whole of a version matches the pattern of a hardware type. PostgreSQL does it, whose expressions take no time that grows with
 * every character, and which can be stopped: a pattern is a caller's text and must not keep a function busy.
 */
export const matchesPattern = async (db: Db, version: string, pattern: string): Promise<boolean | 'unusable'> => {
  try {
    return await db.transaction().execute(async (trx) => {
      await sql`SET LOCAL statement_timeout = ${sql.lit(longestMilliseconds)}`.execute(trx);
      // Alone as well: what only the brackets around it made an expression would not be about the whole text.
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
