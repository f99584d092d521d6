import { sql } from 'kysely';
import type { Db } from '../../lib/db/database.ts';

/** Until so many connections of this database wait for a lock; answers their process ids. */
export const untilWaiting = async (db: Db, count: number): Promise<number[]> => {
  for (;;) {
    const { rows } = await sql<{ pid: number }>`
      SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(db);
    if (rows.length >= count) return rows.map(({ pid }) => pid);
  }
};
