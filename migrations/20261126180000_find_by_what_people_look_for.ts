// The previous release keeps working: it reads and writes the same.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // The beginning of an external id, as somebody types it: by character codes, whatever the language of the database.
  await sql`CREATE INDEX devices_external_id_idx ON devices (external_id COLLATE "C", id)`.execute(db);

  // A page of the updates of one firmware, author or status, the latest first. Those of a hardware type are found by its firmwares. `+ 0`
  // keeps the primary key, which has that order too, out of the planner's choice, as in the indexes of devices.
  await sql`CREATE INDEX updates_firmware_idx ON updates (firmware_id, (id + 0))`.execute(db);
  await sql`CREATE INDEX updates_created_by_idx ON updates (created_by, (id + 0))`.execute(db);
  await sql`CREATE INDEX updates_status_idx ON updates (status, (id + 0))`.execute(db);

  // A page of a canary's executions, in the order of ids within a status; serves its counts as the index before did.
  await sql`CREATE INDEX update_executions_canary_page_idx ON update_executions (update_id, status, id) WHERE is_canary`.execute(db);
  await sql`DROP INDEX update_executions_canary_idx`.execute(db);
}
