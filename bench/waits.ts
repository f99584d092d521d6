// What connections wait for while a load runs, and what the database itself has done meanwhile.
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Db } from '../lib/db/database.ts';

interface Done {
  checkpoints: number;
  vacuums: number;
  flushes: number;
  flush_ms: number;
}

/** So far. The time of flushes is counted only with `track_wal_io_timing`. */
const readDone = async (db: Db): Promise<Done> => {
  const { rows } = await sql<Done>`
    SELECT (SELECT num_timed + num_requested FROM pg_stat_checkpointer)::float8 AS checkpoints,
           (SELECT coalesce(sum(autovacuum_count + autoanalyze_count), 0) FROM pg_stat_user_tables)::float8 AS vacuums,
           coalesce(sum(fsyncs), 0)::float8 AS flushes, coalesce(sum(fsync_time), 0)::float8 AS flush_ms
    FROM pg_stat_io WHERE object = 'wal'`.execute(db);
  return rows[0] as Done;
};

const looksPerSecond = 20;

/** @returns what tells, at the end, what active connections were seen waiting for, most often first. */
export const startWaits = async (db: Db): Promise<() => Promise<string>> => {
  const before = await readDone(db);
  const seen = new Map<string, number>();
  let isOver = false;
  let looks = 0;
  const looking = (async () => {
    while (!isOver) {
      const { rows } = await sql<{ what: string; n: number }>`
        SELECT coalesce(wait_event_type || ':' || wait_event, 'at work') AS what, count(*) AS n
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
        GROUP BY 1`.execute(db);
      looks += 1;
      for (const { what, n } of rows) seen.set(what, (seen.get(what) ?? 0) + n);
      await sleep(1_000 / looksPerSecond);
    }
  })();
  return async () => {
    isOver = true;
    await looking;
    const after = await readDone(db);
    const [checkpoints, vacuums, flushes, ms] = (['checkpoints', 'vacuums', 'flushes', 'flush_ms'] as const).map(
      (what) => after[what] - before[what],
    ) as [number, number, number, number];
    const often = [...seen].toSorted(([, a], [, b]) => b - a).slice(0, 6);
    const waits = often.map(([what, n]) => `${what} ${(n / looks).toFixed(2)}`).join(', ');
    const each = flushes > 0 ? `, ${(ms / flushes).toFixed(2)} ms each` : '';
    return `connections at a moment: ${waits}; ${flushes} flushes of the WAL${each}; ${checkpoints} checkpoints, ${vacuums} automatic vacuums`;
  };
};
