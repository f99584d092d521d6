// The previous release keeps working, but it knows no continuous updates: it would end one with its last execution. Request the first one when
// all functions are deployed.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    ALTER TABLE updates
      ADD COLUMN continuous boolean NOT NULL DEFAULT false,
      -- Of a continuous update, which devices it means: {filter}, or {group, percentage}.
      ADD COLUMN targets jsonb,
      -- Whether it matters what its devices run of other hardware types than its own.
      ADD COLUMN heeds_all_types boolean NOT NULL DEFAULT false,
      ADD COLUMN replaces_update_id integer CONSTRAINT updates_replaces_update_id_fkey REFERENCES updates (id),
      -- Since when it has nothing to do but to wait for devices that come to match.
      ADD COLUMN rests_dt timestamptz(3),
      -- When it was woken last.
      ADD COLUMN woken_dt timestamptz(3),
      -- All devices are looked at once more, those with higher ids than this are left; null: no such look is under way.
      ADD COLUMN looked_at_device_id integer,
      ADD CONSTRAINT updates_continuous_check CHECK (
        continuous = (targets IS NOT NULL)
        AND (continuous OR num_nonnulls(replaces_update_id, rests_dt, looked_at_device_id, open_group) = 0)
      )`.execute(db);
  // Those that are open. Few, so that whatever changes a device finds at once that there is none.
  await sql`
    CREATE INDEX updates_open_idx ON updates (id)
    WHERE continuous AND status IN ('WAITING_FOR_APPROVAL', 'SCHEDULED', 'IN_PROGRESS', 'PAUSED')`.execute(db);
  await sql`
    CREATE INDEX updates_replaces_update_id_idx ON updates (replaces_update_id) WHERE replaces_update_id IS NOT NULL`.execute(db);

  // Devices that may have come to match an update. A device may come several times. There are no foreign keys: with them whoever changes a device
  // would wait for the step that the update is doing, and the step for whoever changes a device.
  await sql`
    CREATE TABLE update_candidates (
      id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT update_candidates_pkey PRIMARY KEY,
      update_id integer NOT NULL,
      device_id integer NOT NULL,
      -- The update that has the device in flight; null: nothing is known to hinder it.
      blocked_by_update_id integer
    )`.execute(db);
  await sql`CREATE INDEX update_candidates_update_idx ON update_candidates (update_id, blocked_by_update_id, id)`.execute(db);
  await sql`
    CREATE INDEX update_candidates_blocked_idx ON update_candidates (blocked_by_update_id, device_id)
    WHERE blocked_by_update_id IS NOT NULL`.execute(db);
}
