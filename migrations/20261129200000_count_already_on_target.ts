// The previous release keeps working: for updates that it requests, the column stays null, and what was planned tells the number.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // How many executions succeeded because their device ran the version before anybody asked it. It differs from what was planned where devices are
  // taken over later: by then they may run another version than at the request.
  await sql`ALTER TABLE updates ADD COLUMN already_on_target integer`.execute(db);
}
