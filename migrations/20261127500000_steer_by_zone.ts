// The previous release keeps working: it knows no windows and budgets, and plans executions without a zone, for which no zone's rules hold.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    ALTER TABLE updates
      ADD COLUMN maximum_unavailable_percentage double precision NOT NULL DEFAULT 100
        CONSTRAINT updates_maximum_unavailable_percentage_check
        CHECK (maximum_unavailable_percentage > 0 AND maximum_unavailable_percentage <= 100),
      -- {from, until, days}; null: any time.
      ADD COLUMN "window" jsonb,
      ADD COLUMN ignore_window boolean NOT NULL DEFAULT false`.execute(db);

  // Where its device stands, '' for one without a zone; follows the device for as long as it has not ended.
  await sql`ALTER TABLE update_executions ADD COLUMN zone text NOT NULL DEFAULT ''`.execute(db);
  await sql`
    UPDATE update_executions e SET zone = d.zone
    FROM devices d
    WHERE d.id = e.device_id AND d.zone IS NOT NULL AND e.status IN ('QUEUED', 'IN_PROGRESS')`.execute(db);
  // Those of a zone that wait for their turn, the ones due first in front.
  await sql`
    CREATE INDEX update_executions_zone_idx ON update_executions (update_id, zone, channel, next_attempt_dt NULLS FIRST, id)
    WHERE phase = 'waiting'`.execute(db);
}
