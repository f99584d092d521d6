// First release: nothing runs yet.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('updates')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('firmware_id', 'integer', (c) => c.notNull())
    .addColumn('status', 'text', (c) => c.notNull())
    .addColumn('maximum_per_minute', 'integer', (c) => c.notNull())
    .addColumn('maximum_in_progress', 'integer')
    .addColumn('allow_downgrade', 'boolean', (c) => c.notNull())
    .addColumn('comment', 'text', (c) => c.notNull())
    // How many devices were found in each state of eligibility when it was requested.
    .addColumn('planned', 'jsonb', (c) => c.notNull().defaultTo(sql`'{}'`))
    .addColumn('idempotency_key', 'text')
    .addColumn('request_hash', 'text', (c) => c.notNull())
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('created_by', 'text', (c) => c.notNull())
    .addColumn('created_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addColumn('started_dt', sql`timestamptz(3)`)
    .addColumn('finished_dt', sql`timestamptz(3)`)
    // The walk: the step that has to be done next, and the last step whose message is known to be sent.
    .addColumn('next_step', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('sent_step', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('last_release_dt', sql`timestamptz(3)`)
    .addPrimaryKeyConstraint('updates_pkey', ['id'])
    .addForeignKeyConstraint('updates_firmware_id_fkey', ['firmware_id'], 'firmwares', ['id'])
    .addUniqueConstraint('updates_created_by_idempotency_key_key', ['created_by', 'idempotency_key'])
    .addCheckConstraint('updates_status_check', sql`status IN ('SCHEDULED', 'IN_PROGRESS', 'PAUSED', 'COMPLETED', 'CANCELED', 'ABORTED')`)
    .addCheckConstraint('updates_maximum_per_minute_check', sql`maximum_per_minute > 0`)
    .addCheckConstraint('updates_maximum_in_progress_check', sql`maximum_in_progress > 0`)
    .execute();

  await db.schema
    .createTable('update_dispatches')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('update_id', 'integer', (c) => c.notNull())
    .addColumn('step', 'integer', (c) => c.notNull())
    .addColumn('commands', 'integer', (c) => c.notNull())
    .addColumn('released_dt', sql`timestamptz(3)`, (c) => c.notNull())
    // When the call to the backend began; while it is younger than the lease, the chunk belongs to that call.
    .addColumn('sent_dt', sql`timestamptz(3)`)
    .addColumn('answered_dt', sql`timestamptz(3)`)
    .addColumn('error', 'text')
    .addPrimaryKeyConstraint('update_dispatches_pkey', ['id'])
    .addForeignKeyConstraint('update_dispatches_update_id_fkey', ['update_id'], 'updates', ['id'])
    .execute();
  // Serves the pace (what is under way or was sent within the window) and a step's repetition.
  await db.schema.createIndex('update_dispatches_update_idx').on('update_dispatches').columns(['update_id', 'sent_dt']).execute();

  await db.schema
    .createTable('update_executions')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('update_id', 'integer', (c) => c.notNull())
    .addColumn('device_id', 'integer', (c) => c.notNull())
    .addColumn('hardware_type', 'text', (c) => c.notNull())
    .addColumn('status', 'text', (c) => c.notNull())
    .addColumn('reason', 'text')
    // What the device or the backend said, in its own words.
    .addColumn('detail', 'text')
    // Which command this is or will be: raised when the backend has answered one without taking it, never when its answer is unknown.
    .addColumn('attempt', 'smallint', (c) => c.notNull().defaultTo(1))
    .addColumn('dispatch_id', 'integer')
    .addColumn('queued_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addColumn('sent_dt', sql`timestamptz(3)`)
    .addColumn('finished_dt', sql`timestamptz(3)`)
    .addColumn('next_attempt_dt', sql`timestamptz(3)`)
    .addPrimaryKeyConstraint('update_executions_pkey', ['id'])
    .addForeignKeyConstraint('update_executions_update_id_fkey', ['update_id'], 'updates', ['id'])
    .addForeignKeyConstraint('update_executions_device_id_fkey', ['device_id'], 'devices', ['id'])
    .addForeignKeyConstraint('update_executions_hardware_type_fkey', ['hardware_type'], 'hardware_types', ['name'])
    .addForeignKeyConstraint('update_executions_dispatch_id_fkey', ['dispatch_id'], 'update_dispatches', ['id'])
    .addCheckConstraint(
      'update_executions_status_check',
      sql`status IN ('QUEUED', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED', 'REMOVED')`,
    )
    .addCheckConstraint('update_executions_finished_check', sql`(finished_dt IS NULL) = (status IN ('QUEUED', 'IN_PROGRESS'))`)
    .execute();
  // A device never has two unfinished executions for one hardware type.
  await sql`
    CREATE UNIQUE INDEX update_executions_unfinished_key ON update_executions (device_id, hardware_type)
    WHERE status IN ('QUEUED', 'IN_PROGRESS')`.execute(db);
  await db.schema
    .createIndex('update_executions_update_status_idx')
    .on('update_executions')
    .columns(['update_id', 'status', 'id'])
    .execute();
  // Those that wait for their turn, the ones due first in front.
  await sql`
    CREATE INDEX update_executions_waiting_idx ON update_executions (update_id, next_attempt_dt NULLS FIRST, id)
    WHERE status = 'QUEUED' AND dispatch_id IS NULL`.execute(db);
  await sql`
    CREATE INDEX update_executions_dispatch_idx ON update_executions (dispatch_id) WHERE dispatch_id IS NOT NULL`.execute(db);

  await db.schema
    .createTable('update_exclusions')
    .addColumn('update_id', 'integer', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('external_id', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('update_exclusions_pkey', ['update_id', 'kind', 'external_id'])
    .addForeignKeyConstraint('update_exclusions_update_id_fkey', ['update_id'], 'updates', ['id'])
    .execute();
}
