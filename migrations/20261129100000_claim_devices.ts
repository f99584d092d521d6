// The previous release keeps working, but it knows no claims: it would end an update that supersedes before that has taken over all its devices.
// Request the first one when all functions are deployed.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // Devices of older updates that an update which supersedes has not taken over yet. There are no foreign keys, for the same reasons as for
  // candidates; and a request may write a million of them.
  await sql`
    CREATE TABLE update_claims (
      update_id integer NOT NULL,
      device_id integer NOT NULL,
      hardware_type text NOT NULL,
      CONSTRAINT update_claims_pkey PRIMARY KEY (update_id, device_id)
    )`.execute(db);
  await sql`CREATE INDEX update_claims_device_idx ON update_claims (device_id)`.execute(db);

  // The youngest update that has claims, or had. No foreign key: a step writes its update's row, and would wait for the step of the other one.
  await sql`ALTER TABLE updates ADD COLUMN superseded_by_update_id integer`.execute(db);
}
