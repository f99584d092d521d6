// The previous release keeps working: it writes the columns it knows, and a trigger derives the phase from them (`execution_phase_of`).
import { type Kysely, sql } from 'kysely';

const isUnfinished = `status IN ('QUEUED', 'IN_PROGRESS')`;
const isNew = 'installed_dt IS NULL AND cancellation IS NULL';
const isAsked = `status = 'IN_PROGRESS' AND dispatch_id IS NOT NULL AND sent_dt IS NOT NULL AND next_attempt_dt IS NULL`;

/** Which columns go with which phase. */
const phases = {
  // `sent_dt`: it was asked before, and is to be asked again.
  waiting: `${isUnfinished} AND dispatch_id IS NULL AND ${isNew}`,
  released: `${isUnfinished} AND channel = 'telematics' AND dispatch_id IS NOT NULL AND sent_dt IS NULL AND next_attempt_dt IS NULL AND ${isNew}`,
  calling: `${isUnfinished} AND channel = 'telematics' AND dispatch_id IS NOT NULL AND sent_dt IS NOT NULL AND next_attempt_dt IS NULL AND ${isNew}`,
  offered: `${isUnfinished} AND channel = 'iot' AND dispatch_id IS NOT NULL AND sent_dt IS NULL AND next_attempt_dt IS NULL AND ${isNew}`,
  asked: `${isAsked} AND installed_dt IS NULL AND cancellation IS DISTINCT FROM 'requested'`,
  canceling: `${isAsked} AND channel = 'iot' AND installed_dt IS NULL AND cancellation IS NOT DISTINCT FROM 'requested'`,
  installed: `${isAsked} AND channel = 'iot' AND installed_dt IS NOT NULL`,
  ended: `NOT ${isUnfinished}`,
};

export async function up(db: Kysely<unknown>): Promise<void> {
  // Most rows have ended: as a constant default their phase costs nothing to add, whatever their number.
  await sql`ALTER TABLE update_executions ADD COLUMN phase text NOT NULL DEFAULT 'ended'`.execute(db);
  await sql`ALTER TABLE update_executions ALTER COLUMN phase DROP DEFAULT`.execute(db);

  // What the columns of the previous release say. A chunk of which it is calling is told by its reason: while the answer to a command is
  // not known, an execution keeps the reason for which it is asked again.
  await sql`
    CREATE FUNCTION execution_phase_of(e update_executions) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN CASE
      WHEN (e).status NOT IN ('QUEUED', 'IN_PROGRESS') THEN 'ended'
      WHEN (e).dispatch_id IS NULL THEN 'waiting'
      WHEN (e).sent_dt IS NULL THEN CASE (e).channel WHEN 'iot' THEN 'offered' ELSE 'released' END
      WHEN (e).status = 'QUEUED' OR ((e).channel <> 'iot' AND (e).reason IS NOT NULL) THEN 'calling'
      WHEN (e).installed_dt IS NOT NULL THEN 'installed'
      WHEN (e).cancellation = 'requested' THEN 'canceling'
      ELSE 'asked'
    END`.execute(db);
  await sql`
    CREATE FUNCTION derive_execution_phase() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.phase := execution_phase_of(NEW);
      -- What was said in a try goes with it, and only who waits has a time of the next one.
      IF NEW.phase IN ('waiting', 'released', 'calling', 'offered') THEN
        NEW.installed_dt := NULL;
        NEW.cancellation := NULL;
      END IF;
      IF NEW.phase <> 'waiting' THEN
        NEW.next_attempt_dt := NULL;
      END IF;
      RETURN NEW;
    END
    $$`.execute(db);

  // A write that names the phase is left alone. The triggers and both functions go when no instance of the previous release is left: with
  // the release after this one, because migrations run before the new functions take over.
  await sql`
    CREATE TRIGGER update_executions_insert_phase BEFORE INSERT ON update_executions
    FOR EACH ROW WHEN (NEW.phase IS NULL) EXECUTE FUNCTION derive_execution_phase()`.execute(db);
  await sql`
    CREATE TRIGGER update_executions_update_phase BEFORE UPDATE ON update_executions
    FOR EACH ROW WHEN (
      NEW.phase = OLD.phase AND (
        NEW.status <> OLD.status
        OR (NEW.dispatch_id, NEW.sent_dt, NEW.installed_dt, NEW.cancellation)
           IS DISTINCT FROM (OLD.dispatch_id, OLD.sent_dt, OLD.installed_dt, OLD.cancellation)
        OR (OLD.phase = 'calling' AND NEW.reason IS DISTINCT FROM OLD.reason)
        -- Carried over by this migration.
        OR (OLD.phase = 'ended' AND NEW.status IN ('QUEUED', 'IN_PROGRESS'))
      )
    ) EXECUTE FUNCTION derive_execution_phase()`.execute(db);
  await sql`UPDATE update_executions SET phase = phase WHERE status IN ('QUEUED', 'IN_PROGRESS')`.execute(db);

  const cases = Object.entries(phases).map(([phase, condition]) => `WHEN '${phase}' THEN ${condition}`);
  await sql`
    ALTER TABLE update_executions ADD CONSTRAINT update_executions_phase_check
    CHECK (CASE phase ${sql.raw(cases.join('\n'))} ELSE false END)`.execute(db);
}
