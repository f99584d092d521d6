// The previous release keeps working: it calls the function by the same name.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // A statement that is planned once locks its tables in another order than one that is planned each time, so that reports and a recount
  // could wait for each other in a circle. In this mode a recount keeps reports out from their first statement on, when they hold nothing.
  await sql`ALTER FUNCTION recount_fleet() RENAME TO recount_locked_fleet`.execute(db);
  await sql`
    CREATE FUNCTION recount_fleet() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      LOCK TABLE devices IN EXCLUSIVE MODE;
      PERFORM recount_locked_fleet();
    END
    $$`.execute(db);
}
