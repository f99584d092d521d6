// The previous release keeps working: it finds its rows by update_executions_update_status_idx, more slowly for the minutes of a deployment.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const index of ['waiting', 'iot_waiting', 'sent', 'offered', 'unanswered']) {
    await sql`DROP INDEX ${sql.ref(`update_executions_${index}_idx`)}`.execute(db);
  }
  // Those that wait for their turn, the ones due first in front.
  await sql`
    CREATE INDEX update_executions_waiting_idx ON update_executions (update_id, channel, next_attempt_dt NULLS FIRST, id)
    WHERE phase = 'waiting'`.execute(db);
  // Those of them whose device may be at work without our knowing.
  await sql`
    CREATE INDEX update_executions_unanswered_idx ON update_executions (update_id, next_attempt_dt NULLS FIRST, id)
    WHERE phase = 'waiting' AND is_unanswered`.execute(db);
  // Those with a place of their own: in a chunk, offered, or at work; by the time of the command for their deadlines.
  await sql`
    CREATE INDEX update_executions_handed_over_idx ON update_executions (update_id, phase, sent_dt)
    WHERE phase IN ('released', 'calling', 'offered', 'asked', 'canceling', 'installed')`.execute(db);
}
