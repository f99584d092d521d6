// The previous release keeps working: it neither reads nor writes the new columns. It releases nobody of an update that waits for approval, and
// believes a key that waits for it; deploy the new functions before anybody adds a key.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    ALTER TABLE updates
      ADD COLUMN needs_approval boolean NOT NULL DEFAULT false,
      ADD COLUMN decision text,
      ADD COLUMN decided_by text,
      ADD COLUMN decided_dt timestamptz(3),
      ADD COLUMN decision_remark text,
      DROP CONSTRAINT updates_status_check,
      ADD CONSTRAINT updates_status_check
        CHECK (status IN ('WAITING_FOR_APPROVAL', 'SCHEDULED', 'IN_PROGRESS', 'PAUSED', 'COMPLETED', 'CANCELED', 'ABORTED')),
      ADD CONSTRAINT updates_decision_check CHECK (decision IS NULL OR (decision IN ('APPROVED', 'REJECTED') AND needs_approval)),
      ADD CONSTRAINT updates_decided_check CHECK (num_nulls(decision, decided_by, decided_dt, decision_remark) IN (0, 4)),
      -- Nobody is asked before somebody else has agreed, whatever a statement says.
      ADD CONSTRAINT updates_approval_check
        CHECK (status NOT IN ('SCHEDULED', 'IN_PROGRESS', 'PAUSED') OR NOT needs_approval OR decision IS NOT DISTINCT FROM 'APPROVED'),
      ADD CONSTRAINT updates_second_person_check CHECK (decided_by <> created_by)`.execute(db);

  await sql`
    ALTER TABLE author_keys
      ADD COLUMN needs_approval boolean NOT NULL DEFAULT false,
      ADD COLUMN approved_by text,
      ADD COLUMN approved_dt timestamptz(3),
      ADD CONSTRAINT author_keys_approved_check CHECK (num_nulls(approved_by, approved_dt) IN (0, 2)),
      ADD CONSTRAINT author_keys_second_person_check CHECK (approved_by <> created_by)`.execute(db);
}
