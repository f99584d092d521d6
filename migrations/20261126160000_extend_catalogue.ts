// The previous release keeps working: what is new has defaults. It takes a firmware that is lost for a withdrawn one.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    ALTER TABLE hardware_types
      -- What decides which firmware is the newer one, unless the request says its version_num.
      ADD COLUMN "order" text NOT NULL DEFAULT 'registration'
        CONSTRAINT hardware_types_order_check CHECK ("order" IN ('registration', 'semver')),
      -- Null: any kind.
      ADD COLUMN file_kinds text[],
      -- What its devices can tell. Null: any version.
      ADD COLUMN version_maximum_length integer
        CONSTRAINT hardware_types_version_maximum_length_check CHECK (version_maximum_length BETWEEN 1 AND 64),
      ADD COLUMN version_pattern text`.execute(db);

  // Until when the last link for an upload is good; null when there is none.
  await sql`ALTER TABLE firmwares ADD COLUMN upload_expires_dt timestamptz(3)`.execute(db);

  // Lost: it was available, and its file is gone from S3.
  await sql`
    ALTER TABLE firmwares
      DROP CONSTRAINT firmwares_status_check,
      ADD CONSTRAINT firmwares_status_check CHECK (status IN ('awaiting_upload', 'available', 'lost', 'withdrawn', 'rejected')),
      DROP CONSTRAINT firmwares_available_check,
      ADD CONSTRAINT firmwares_available_check CHECK (
        status NOT IN ('available', 'lost', 'withdrawn')
        OR (version_num IS NOT NULL AND file_link IS NOT NULL AND size_bytes > 0 AND sha256 IS NOT NULL AND sha1 IS NOT NULL AND md5 IS NOT NULL)
      )`.execute(db);

  await sql`
    ALTER TABLE updates
      ADD COLUMN unknown_version text NOT NULL DEFAULT 'INCLUDE'
        CONSTRAINT updates_unknown_version_check CHECK (unknown_version IN ('INCLUDE', 'EXCLUDE'))`.execute(db);

  await normalizeVersions(db);
}

/** Texts that come in are in Unicode's form NFC from now on; those that came before are brought into it. */
const normalizeVersions = async (db: Kysely<unknown>): Promise<void> => {
  // Two that become one stay as they are, and are for people to look at.
  await sql`
    UPDATE firmwares f SET version = normalize(version, NFC)
    WHERE version IS NOT NFC NORMALIZED
      AND NOT EXISTS (
        SELECT FROM firmwares other
        WHERE other.hardware_type = f.hardware_type AND other.id <> f.id AND normalize(other.version, NFC) = normalize(f.version, NFC)
      )`.execute(db);
  const { numAffectedRows = 0n } = await sql`
    UPDATE device_firmwares r
    SET reported_version = normalize(reported_version, NFC),
        firmware_id = coalesce(
          firmware_id,
          (
            SELECT f.id FROM firmwares f
            WHERE f.hardware_type = r.hardware_type AND f.version = normalize(r.reported_version, NFC) AND f.status IN ('available', 'withdrawn')
          )
        )
    WHERE reported_version IS NOT NFC NORMALIZED`.execute(db);
  if (numAffectedRows > 0n) await sql`SELECT recount_fleet()`.execute(db);
};
