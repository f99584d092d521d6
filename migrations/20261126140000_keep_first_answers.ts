// The previous release keeps working: it neither reads nor writes the new columns, and answers what it stored from the row as before.
import type { Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // What was answered to a request with an Idempotency-Key: the same request again gets it word for word. Null: there was no key, or the
  // release that answered did not keep it.
  for (const table of ['updates', 'observations', 'assemblies']) {
    await db.schema.alterTable(table).addColumn('answer', 'json').execute();
  }
}
