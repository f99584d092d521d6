// The previous release keeps working: it still adds up `paused_seconds`, which this release still counts. Deadlines of updates that this release has
// resumed run later there, by the time of the pause, and for devices at work as well. Drop `updates.paused_seconds` when all of it has gone.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // A pause as an interval counts for what waited in it, and not for devices that an update takes in later.
  await sql`
    ALTER TABLE outages
      DROP CONSTRAINT outages_cause_check,
      DROP CONSTRAINT outages_walk_check,
      ADD CONSTRAINT outages_cause_check CHECK (cause IN ('walk', 'pause', 'backend', 'signing', 'storage', 'identity')),
      ADD CONSTRAINT outages_update_check CHECK ((cause IN ('walk', 'pause')) = (update_id IS NOT NULL)),
      ADD CONSTRAINT outages_pause_check CHECK (cause <> 'pause' OR ended_dt IS NOT NULL)`.execute(db);
}
