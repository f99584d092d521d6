// The previous release keeps working: it neither reads nor writes the new column. It does not judge revisions; name them in firmwares when all of it
// has gone.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // A firmware that fits no revision would be a mistake.
  await sql`
    ALTER TABLE firmwares ADD CONSTRAINT firmwares_revisions_check CHECK (cardinality(revisions) BETWEEN 1 AND 50)`.execute(db);
  // What of its hardware did not fit.
  await sql`ALTER TABLE update_exclusions ADD COLUMN detail text`.execute(db);
}
