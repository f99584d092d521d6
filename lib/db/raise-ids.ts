import { sql } from 'kysely';
import type { Db } from './database.ts';

/** More ids than any fleet uses between a backup and its restore, and few enough that ids below 2^31 suffice for fourteen restores. */
const gap = 10_000_000;

/**
 * For a database that was restored to an earlier moment: makes every sequence go on far beyond all that may have been given out since that
 * moment. The backend and the devices remember the ids of executions, dispatches and observations, and the counters of manifests; if a known
 * number comes again, they take it for something done already. All sequences are raised, so that nobody has to remember which numbers leave
 * the service. Repeating this costs numbers but does no harm, and neither does a request at the same time.
 *
 * @param restores how often this environment has been restored, this time included. A backup made before an earlier restore knows nothing of
 *   the numbers given out after that restore, so each restore goes further than the one before.
 * @returns the name of each sequence and where it goes on.
 * @throws when a sequence has no room for that: nothing is raised then.
 */
export async function raiseAllIds(db: Db, restores = 1): Promise<Record<string, number>> {
  const step = gap * restores;
  const raised: Record<string, number> = {};
  const sequences = await listSequences(db);
  for (const { name, maximum } of sequences) {
    const { rows } = await sql<{ last_value: number }>`SELECT last_value FROM ${sql.table(name)}`.execute(db);
    const next = (rows[0]?.last_value ?? 0) + step;
    if (next > maximum) throw new Error(`${name} cannot be raised by ${step}: it ends at ${maximum}`);
    raised[name] = next;
  }
  for (const [name, next] of Object.entries(raised)) await sql`SELECT setval(${name}::regclass, ${next}, false)`.execute(db);
  return raised;
}

const listSequences = async (db: Db): Promise<{ name: string; maximum: number }[]> => {
  const { rows } = await sql<{ name: string; maximum: number }>`
    SELECT sequencename AS name, max_value AS maximum FROM pg_sequences WHERE schemaname = current_schema() ORDER BY 1`.execute(db);
  return rows;
};
