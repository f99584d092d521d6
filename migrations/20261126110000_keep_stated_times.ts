// The previous release keeps working: the columns may be null, and it neither reads nor writes them.
import type { Kysely } from 'kysely';

/** When something was so by the clock of whoever told it, beside the time that the service takes it for. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('device_firmwares').addColumn('occurred_dt', 'timestamptz').execute();
  await db.schema.alterTable('device_firmware_history').addColumn('occurred_dt', 'timestamptz').execute();
}
