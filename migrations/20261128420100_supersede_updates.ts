// The previous release keeps working: it neither reads nor writes the new column.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // Whether it takes the place of older updates.
  await sql`ALTER TABLE updates ADD COLUMN supersede boolean NOT NULL DEFAULT false`.execute(db);
}
