// The previous release keeps working: what is new has defaults, and it writes no status that it does not know.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // Public keys of the people who make firmware. The service has no private one.
  await db.schema
    .createTable('author_keys')
    .addColumn('id', 'integer', (c) => c.notNull().generatedAlwaysAsIdentity())
    // The thumbprint of the key (RFC 7638), which signatures name.
    .addColumn('kid', 'text', (c) => c.notNull())
    .addColumn('owner', 'text', (c) => c.notNull())
    .addColumn('public_key', 'jsonb', (c) => c.notNull())
    .addColumn('hardware_types', sql`text[]`, (c) => c.notNull())
    .addColumn('valid_from_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addColumn('valid_until_dt', sql`timestamptz(3)`)
    .addColumn('revoked_dt', sql`timestamptz(3)`)
    .addColumn('revoked_by', 'text')
    .addColumn('revocation_reason', 'text')
    .addColumn('created_by', 'text', (c) => c.notNull())
    .addColumn('created_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addPrimaryKeyConstraint('author_keys_pkey', ['id'])
    .addUniqueConstraint('author_keys_kid_key', ['kid'])
    .addCheckConstraint('author_keys_valid_check', sql`valid_until_dt IS NULL OR valid_until_dt > valid_from_dt`)
    .addCheckConstraint(
      'author_keys_revoked_check',
      sql`(revoked_dt IS NULL) = (revoked_by IS NULL) AND (revoked_dt IS NULL) = (revocation_reason IS NULL)`,
    )
    .execute();

  // Which author keys devices believe: each one signed by the one before, so that a device follows from the one it was born with.
  await db.schema
    .createTable('author_roots')
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('document', 'jsonb', (c) => c.notNull())
    .addColumn('created_by', 'text', (c) => c.notNull())
    .addColumn('created_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addPrimaryKeyConstraint('author_roots_pkey', ['version'])
    .addCheckConstraint('author_roots_version_check', sql`version > 0`)
    .execute();

  await sql`
    ALTER TABLE hardware_types
      -- So many different owners of author keys have to sign a firmware before it can be chosen.
      ADD COLUMN author_signatures_required smallint NOT NULL DEFAULT 0
        CONSTRAINT hardware_types_author_signatures_required_check CHECK (author_signatures_required BETWEEN 0 AND 5)`.execute(db);

  await sql`
    ALTER TABLE firmwares
      -- What authors have signed about it: {kid, owner, kind, author_version, jws}, in the order in which they came.
      ADD COLUMN author_signatures jsonb NOT NULL DEFAULT '[]',
      -- Of a package: its parts with the signatures that they had when it became available.
      ADD COLUMN signed_parts jsonb NOT NULL DEFAULT '[]',
      DROP CONSTRAINT firmwares_status_check,
      ADD CONSTRAINT firmwares_status_check
        CHECK (status IN ('awaiting_upload', 'awaiting_signature', 'available', 'lost', 'withdrawn', 'rejected')),
      ADD CONSTRAINT firmwares_awaiting_signature_check CHECK (
        status <> 'awaiting_signature'
        OR (file_link IS NOT NULL AND size_bytes > 0 AND sha256 IS NOT NULL AND sha1 IS NOT NULL AND md5 IS NOT NULL)
      )`.execute(db);
}
