// What a unit writes: rows of which tables, whether their indexes had to be written as well, and how much of the write-ahead log.
import { sql } from 'kysely';
import type { Db } from '../lib/db/database.ts';

interface Written {
  wal_records: number;
  wal_bytes: number;
  full_pages: number;
  tables: { name: string; inserted: number; updated: number; hot: number; deleted: number }[];
}

/** So far, by PostgreSQL's own statistics: connections add to them when a second has passed and they are idle. */
const readWritten = async (db: Db): Promise<Written> => {
  await sql`SELECT pg_sleep(1.5)`.execute(db);
  const { rows } = await sql<Written>`
    SELECT wal_records::float8, wal_bytes::float8, wal_fpi::float8 AS full_pages,
           (SELECT json_agg(json_build_object(
              'name', relname, 'inserted', n_tup_ins, 'updated', n_tup_upd, 'hot', n_tup_hot_upd, 'deleted', n_tup_del
            ) ORDER BY relname) FROM pg_stat_user_tables) AS tables
    FROM pg_stat_wal`.execute(db);
  return rows[0] as Written;
};

/** @returns what tells, for each of so many units, what was written since. */
export const startWritten = async (db: Db): Promise<(units: number) => Promise<string>> => {
  const before = await readWritten(db);
  return async (units) => {
    const after = await readWritten(db);
    const each = (now: number, then: number) => (now - then) / units;
    const show = (value: number) => value.toFixed(value < 10 ? 2 : 0);
    const tables = after.tables.flatMap(({ name, ...now }) => {
      const then = before.tables.find((table) => table.name === name) ?? { inserted: 0, updated: 0, hot: 0, deleted: 0 };
      const [inserted, updated, hot, deleted] = (['inserted', 'updated', 'hot', 'deleted'] as const).map((what) =>
        each(now[what], then[what]),
      );
      const changes = [
        inserted && `${show(inserted)} inserted`,
        updated && `${show(updated)} updated, ${show(((hot ?? 0) / updated) * 100)} % of them HOT`,
        deleted && `${show(deleted)} deleted`,
      ].filter(Boolean);
      return changes.length > 0 ? [`${name}: ${changes.join(', ')}`] : [];
    });
    const wal = `${show(each(after.wal_bytes, before.wal_bytes))} bytes of WAL in ${show(each(after.wal_records, before.wal_records))} records`;
    return `${wal}, ${show(each(after.full_pages, before.full_pages))} full pages; ${tables.join('; ')}`;
  };
};
