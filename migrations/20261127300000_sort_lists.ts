// The previous release keeps working: it reads and writes the same.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // One for each order in which a list can be asked for and that no index has yet. Each serves both directions.
  await sql`CREATE INDEX firmwares_ordinal_idx ON firmwares (coalesce(version_num, 0), id)`.execute(db);
  await sql`CREATE INDEX firmwares_type_ordinal_idx ON firmwares (hardware_type, coalesce(version_num, 0), id)`.execute(db);
  await sql`CREATE INDEX firmwares_type_id_idx ON firmwares (hardware_type, id)`.execute(db);

  // An execution is written into it once, when it ends.
  await sql`
    CREATE INDEX update_executions_finished_idx ON update_executions (update_id, status, finished_dt, id)
    WHERE finished_dt IS NOT NULL`.execute(db);
}
