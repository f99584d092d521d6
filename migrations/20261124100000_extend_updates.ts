// The release before keeps working: every column has a default or may be null.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('firmwares')
    // What a device has to run of other hardware types: [{hardware_type, minimum_version_num}].
    .addColumn('requires', 'jsonb', (c) => c.notNull().defaultTo(sql`'[]'`))
    // A stepping stone: what it has to run of this hardware type.
    .addColumn('minimum_from_version_num', 'integer')
    .execute();

  await db.schema
    .alterTable('updates')
    .addColumn('start_dt', sql`timestamptz(3)`)
    .addColumn('exponential', 'jsonb')
    .addColumn('canary', 'jsonb')
    .addColumn('canary_started_dt', sql`timestamptz(3)`)
    .addColumn('canary_passed_dt', sql`timestamptz(3)`)
    .addColumn('abort', 'jsonb', (c) => c.notNull().defaultTo(sql`'[]'`))
    .addColumn('queued_minutes', 'double precision', (c) => c.notNull().defaultTo(10080))
    .addColumn('in_progress_minutes', 'double precision', (c) => c.notNull().defaultTo(60))
    .addColumn('number_of_retries', 'smallint', (c) => c.notNull().defaultTo(0))
    .addColumn('retry_failure_types', sql`text[]`, (c) => c.notNull().defaultTo(sql`'{}'`))
    .addColumn('force', 'boolean', (c) => c.notNull().defaultTo(false))
    // Why it was paused, canceled or aborted.
    .addColumn('reason', 'text')
    .addColumn('paused_dt', sql`timestamptz(3)`)
    // Time spent paused does not count against the executions that wait.
    .addColumn('paused_seconds', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('retry_of_update_id', 'integer')
    .execute();
  await db.schema
    .alterTable('updates')
    .addForeignKeyConstraint('updates_retry_of_update_id_fkey', ['retry_of_update_id'], 'updates', ['id'])
    .execute();
  await db.schema.createIndex('updates_retry_of_update_id_idx').on('updates').column('retry_of_update_id').execute();

  await db.schema
    .alterTable('update_executions')
    // Copied from the device, so that the walk finds those it has to hand to the backend without looking at all others.
    .addColumn('channel', 'text', (c) => c.notNull().defaultTo('telematics'))
    .addColumn('is_canary', 'boolean', (c) => c.notNull().defaultTo(false))
    .addColumn('retries', 'smallint', (c) => c.notNull().defaultTo(0))
    // When the version wanted was seen after the execution had ended otherwise.
    .addColumn('late_success_dt', sql`timestamptz(3)`)
    .execute();
  await sql`UPDATE update_executions e SET channel = d.channel FROM devices d WHERE d.id = e.device_id AND d.channel <> e.channel`.execute(
    db,
  );

  await sql`DROP INDEX update_executions_waiting_idx`.execute(db);
  await sql`
    CREATE INDEX update_executions_waiting_idx ON update_executions (update_id, next_attempt_dt NULLS FIRST, id)
    WHERE status IN ('QUEUED', 'IN_PROGRESS') AND dispatch_id IS NULL AND channel = 'telematics'`.execute(db);
  await sql`
    CREATE INDEX update_executions_sent_idx ON update_executions (update_id, sent_dt)
    WHERE status IN ('QUEUED', 'IN_PROGRESS') AND dispatch_id IS NOT NULL`.execute(db);
  await sql`CREATE INDEX update_executions_canary_idx ON update_executions (update_id, status) WHERE is_canary`.execute(db);
  // A device's own past, and its latest execution for a report that names none.
  await sql`CREATE INDEX update_executions_device_idx ON update_executions (device_id, hardware_type, id)`.execute(db);

  await db.schema
    .alterTable('update_dispatches')
    .addColumn('verification_round', 'smallint', (c) => c.notNull().defaultTo(0))
    // When the devices of the chunk are looked up next; null: they need not be.
    .addColumn('next_verification_dt', sql`timestamptz(3)`)
    // The step that asked for the latest look-up, so that a repetition of the step asks again.
    .addColumn('verification_step', 'integer')
    .execute();
  await sql`
    CREATE INDEX update_dispatches_verification_idx ON update_dispatches (update_id, next_verification_dt)
    WHERE next_verification_dt IS NOT NULL`.execute(db);

  await sql`CREATE INDEX update_dispatches_under_way_idx ON update_dispatches (update_id) WHERE answered_dt IS NULL`.execute(db);

  // One row: all updates share the backend.
  await db.schema
    .createTable('backend_gate')
    .addColumn('id', 'smallint', (c) => c.notNull())
    .addColumn('share', 'double precision', (c) => c.notNull())
    .addColumn('changed_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addColumn('failures', 'integer', (c) => c.notNull())
    .addColumn('closed_until', sql`timestamptz(3)`)
    .addColumn('usual_latency_ms', 'double precision')
    .addPrimaryKeyConstraint('backend_gate_pkey', ['id'])
    .addCheckConstraint('backend_gate_one_row_check', sql`id = 1`)
    .execute();
  await sql`INSERT INTO backend_gate (id, share, changed_dt, failures) VALUES (1, 1, '2026-01-01T00:00:00Z', 0)`.execute(db);
}
