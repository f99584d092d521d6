// The previous release keeps working, and begins no day: while both run, a day begins with the first report that the new one stores.
import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  // What devices ran before the first report of a (UTC) day: the shares of versions over time. A day without reports has no row.
  await db.schema
    .createTable('device_firmware_days')
    .addColumn('hardware_type', 'text', (c) => c.notNull())
    .addColumn('day', 'date', (c) => c.notNull())
    // Whose version was known.
    .addColumn('device_count', 'integer', (c) => c.notNull())
    // Devices by version, of the 100 versions that most devices ran.
    .addColumn('versions', 'jsonb', (c) => c.notNull())
    .addPrimaryKeyConstraint('device_firmware_days_pkey', ['hardware_type', 'day'])
    .execute();

  // By whoever stores the first report of a day, the 100 that most devices run one by one.
  await sql`
    CREATE FUNCTION count_versions_of(wanted text, OUT device_count integer, OUT versions jsonb) LANGUAGE sql STABLE AS $$
      SELECT coalesce(sum(devices), 0)::integer,
             coalesce(jsonb_object_agg(reported_version, devices) FILTER (WHERE place <= 100), '{}')
      FROM (
        SELECT reported_version, sum(c.device_count) AS devices,
               row_number() OVER (ORDER BY sum(c.device_count) DESC, reported_version) AS place
        FROM device_firmware_counts c
        WHERE hardware_type = wanted
        GROUP BY reported_version
        HAVING sum(c.device_count) > 0
      ) ranked
    $$`.execute(db);
}
