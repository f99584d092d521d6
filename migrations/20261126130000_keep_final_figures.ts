// The previous release keeps working. What it ends meanwhile has no final figures yet: they are counted when somebody asks. Late successes
// that it notes meanwhile are missing from their count.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('updates')
    // Executions by status when the last one had ended; null before, and then they are counted. An end is final, so it stays true.
    .addColumn('final_counts', 'jsonb')
    // The same for what only the answer about one update has: {reasons, canary_counts, backend_errors}.
    .addColumn('final_figures', 'jsonb')
    .execute();

  // Late successes come at any time, also years after the end. Spread over several rows (shards) for each update, because reports do not
  // wait for the update's row, which its walk locks. For the same reason there is no foreign key, whose check would wait for it; updates are
  // never deleted.
  await db.schema
    .createTable('update_late_success_counts')
    .addColumn('update_id', 'integer', (c) => c.notNull())
    .addColumn('shard', 'smallint', (c) => c.notNull())
    .addColumn('executions', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('update_late_success_counts_pkey', ['update_id', 'shard'])
    .execute();
  await sql`
    INSERT INTO update_late_success_counts (update_id, shard, executions)
    SELECT update_id, 0, count(*) FROM update_executions WHERE late_success_dt IS NOT NULL GROUP BY update_id`.execute(db);

  // Only the counts, in one pass over an index; the figures of older updates are kept when somebody has to (lib/update/figure-queries.ts).
  await sql`
    UPDATE updates u SET final_counts = c.counts
    FROM (
      SELECT update_id, jsonb_object_agg(status, n) AS counts
      FROM (SELECT update_id, status, count(*) AS n FROM update_executions GROUP BY update_id, status) by_status
      GROUP BY update_id
    ) c
    WHERE c.update_id = u.id AND u.finished_dt IS NOT NULL`.execute(db);

  // Pages of executions with one reason, in the order of ids within a status. Most executions never have a reason and cost it nothing.
  await sql`
    CREATE INDEX update_executions_reason_idx ON update_executions (update_id, split_part(reason, ': ', 1), status, id)
    WHERE reason IS NOT NULL`.execute(db);
}
