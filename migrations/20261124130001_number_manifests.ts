// The previous release keeps working: the new columns fill themselves.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // One counter for all hardware types: it grows for each of them, and nobody waits for anybody.
  await sql`CREATE SEQUENCE firmware_manifest_counter AS bigint`.execute(db);
  // Raised when a firmware becomes available, and by every update that is requested (lib/firmware/README.md).
  await sql`ALTER TABLE firmwares ADD COLUMN manifest_counter bigint`.execute(db);
  await sql`
    UPDATE firmwares f SET manifest_counter = numbered.counter
    FROM (
      SELECT id, nextval('firmware_manifest_counter') AS counter
      FROM (SELECT id FROM firmwares ORDER BY version_num NULLS LAST, id) ordered
    ) numbered
    WHERE f.id = numbered.id`.execute(db);
  await sql`
    ALTER TABLE firmwares
      ALTER COLUMN manifest_counter SET DEFAULT nextval('firmware_manifest_counter'),
      ALTER COLUMN manifest_counter SET NOT NULL`.execute(db);
  await sql`ALTER TABLE updates ADD COLUMN manifest_counter bigint NOT NULL DEFAULT nextval('firmware_manifest_counter')`.execute(db);
  await db.schema
    .createIndex('updates_firmware_id_manifest_counter_idx')
    .on('updates')
    .columns(['firmware_id', 'manifest_counter'])
    .execute();
}
