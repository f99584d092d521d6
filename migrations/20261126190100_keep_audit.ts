// The previous release keeps working: it neither reads nor writes the new table.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // What callers have changed, a line each; nothing is ever changed in it.
  await db.schema
    .createTable('audit_lines')
    .addColumn('id', 'bigint', (c) => c.notNull().generatedAlwaysAsIdentity())
    .addColumn('occurred_dt', sql`timestamptz(3)`, (c) => c.notNull())
    .addColumn('caller', 'text', (c) => c.notNull())
    .addColumn('request_id', 'text', (c) => c.notNull())
    .addColumn('action', 'text', (c) => c.notNull())
    .addColumn('resource', 'text', (c) => c.notNull())
    // Null: many at once.
    .addColumn('resource_id', 'text')
    .addColumn('outcome', 'jsonb', (c) => c.notNull())
    .addPrimaryKeyConstraint('audit_lines_pkey', ['id'])
    .execute();
  // `+ 0` keeps the primary key from being gone through backwards for a caller of whom there is little (find_devices says more).
  await sql`CREATE INDEX audit_lines_resource_idx ON audit_lines (resource, resource_id, (id + 0))`.execute(db);
  await sql`CREATE INDEX audit_lines_caller_idx ON audit_lines (caller, (id + 0))`.execute(db);

  await sql`
    CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'audit_lines is append-only';
    END
    $$`.execute(db);
  await sql`
    CREATE TRIGGER audit_lines_append_only BEFORE UPDATE OR DELETE ON audit_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit()`.execute(db);
}
