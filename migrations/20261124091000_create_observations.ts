// The previous release keeps working: it fills no new column.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('observations')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('status', 'text', (c) => c.notNull())
    // Who is asked: devices of one kind, named one by one and each once, or those that a filter means.
    .addColumn('kind', 'text')
    .addColumn('external_ids', sql`text[]`)
    .addColumn('filter', 'jsonb')
    .addColumn('add_unknown', 'boolean', (c) => c.notNull())
    .addColumn('maximum_per_minute', 'integer', (c) => c.notNull())
    .addColumn('comment', 'text', (c) => c.notNull())
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
    // How far it is: a place in external_ids, a device's id, or the backend's own cursor. null: at the beginning.
    .addColumn('cursor', 'text')
    // The backend is asked no sooner; while claimed_dt is younger than the lease, a step belongs to the call that began then.
    .addColumn('due_dt', sql`timestamptz(3)`)
    .addColumn('claimed_dt', sql`timestamptz(3)`)
    // Calls in a row that the backend did not answer.
    .addColumn('failures', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('last_error', 'text')
    .addColumn('last_error_dt', sql`timestamptz(3)`)
    // null: known only when the walk has ended.
    .addColumn('devices_total', 'integer')
    .addColumn('devices_asked', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('devices_answered', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('devices_unknown', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('devices_added', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('devices_not_registered', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('devices_refused', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('reports_stored', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('reports_unchanged', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('reports_outdated', 'integer', (c) => c.notNull().defaultTo(0))
    .addColumn('reports_refused', 'integer', (c) => c.notNull().defaultTo(0))
    .addPrimaryKeyConstraint('observations_pkey', ['id'])
    .addUniqueConstraint('observations_created_by_idempotency_key_key', ['created_by', 'idempotency_key'])
    .addCheckConstraint('observations_status_check', sql`status IN ('IN_PROGRESS', 'COMPLETED', 'FAILED')`)
    .addCheckConstraint(
      'observations_finished_check',
      sql`(finished_dt IS NULL) = (status = 'IN_PROGRESS') AND (due_dt IS NOT NULL) = (status = 'IN_PROGRESS')`,
    )
    .addCheckConstraint(
      'observations_targets_check',
      sql`(kind IS NULL) = (external_ids IS NULL) AND (external_ids IS NULL) = (filter IS NOT NULL)`,
    )
    .addCheckConstraint('observations_maximum_per_minute_check', sql`maximum_per_minute > 0`)
    .execute();

  await db.schema.alterTable('device_firmware_history').addColumn('observation_id', 'integer').execute();
  await db.schema
    .alterTable('device_firmware_history')
    .addForeignKeyConstraint('device_firmware_history_observation_id_fkey', ['observation_id'], 'observations', ['id'])
    .execute();
  // What an observation has changed, in the order in which it was learned.
  await sql`
    CREATE INDEX device_firmware_history_observation_idx ON device_firmware_history (observation_id, id)
    WHERE observation_id IS NOT NULL`.execute(db);
}
