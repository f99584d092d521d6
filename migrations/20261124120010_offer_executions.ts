// The previous release keeps working: it hands nothing to devices that poll, and every new column has a default or may be null.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('update_executions')
    // Of devices that poll. When the device last said that it is at work: its deadline counts from there.
    .addColumn('progress_dt', sql`timestamptz(3)`)
    // When it said that it has installed the firmware; what it runs has still to be seen.
    .addColumn('installed_dt', sql`timestamptz(3)`)
    // requested: the device is to be asked to stop; refused: it has said that it goes on.
    .addColumn('cancellation', 'text')
    .execute();
  await db.schema
    .alterTable('update_executions')
    .addCheckConstraint('update_executions_cancellation_check', sql`cancellation IN ('requested', 'refused')`)
    .execute();

  await db.schema
    .alterTable('updates')
    // Whether any of its devices polls: only then a step looks for them.
    .addColumn('includes_iot', 'boolean', (c) => c.notNull().defaultTo(false))
    .execute();
  await sql`
    UPDATE updates u SET includes_iot = true
    WHERE EXISTS (SELECT FROM update_executions e WHERE e.update_id = u.id AND e.channel = 'iot')`.execute(db);

  // Those that wait for an offer, the ones due first in front.
  await sql`
    CREATE INDEX update_executions_iot_waiting_idx ON update_executions (update_id, next_attempt_dt NULLS FIRST, id)
    WHERE status IN ('QUEUED', 'IN_PROGRESS') AND dispatch_id IS NULL AND channel = 'iot'`.execute(db);
  // Offers that nobody has come for yet.
  await sql`
    CREATE INDEX update_executions_offered_idx ON update_executions (update_id, id)
    WHERE status IN ('QUEUED', 'IN_PROGRESS') AND dispatch_id IS NOT NULL AND sent_dt IS NULL AND channel = 'iot'`.execute(db);
  // Offers that were taken lately, which is what the pace counts.
  await sql`
    CREATE INDEX update_executions_taken_idx ON update_executions (update_id, sent_dt)
    WHERE channel = 'iot' AND sent_dt IS NOT NULL`.execute(db);
}
