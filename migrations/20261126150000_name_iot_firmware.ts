// The previous release keeps working: it reads neither view. Whoever else does finds, from this moment, what `iot` was meant to say.
import { type Kysely, sql } from 'kysely';

/**
 * `iot` was a flag, and is the id of the yandex_iot firmware that a scooter runs; how a device is reached is told by `channel`. A column
 * of a view cannot change its type, so the views are made anew, in one transaction with this migration, and whoever was allowed to read
 * them still is. A view of somebody else that is built on one of them stops the migration, which then has changed nothing.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const [view, kind, own] of [
    ['scooters', 'scooter', 'yandex_iot'],
    ['cabinets', 'cabinet', 'cabinet'],
  ] as const) {
    const { rows: grants } = await sql<{ statement: string }>`
      SELECT format('GRANT %s ON %s TO %s', g.privilege_type, c.oid::regclass,
                    CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END)
             || CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS statement
      FROM pg_class c, aclexplode(c.relacl) g
      WHERE c.oid = ${view}::regclass AND g.grantee <> c.relowner`.execute(db);
    await sql`DROP VIEW ${sql.id(view)}`.execute(db);
    await createView(db, view, kind, own);
    for (const { statement } of grants) await sql.raw(statement).execute(db);
  }
}

const createView = (db: Kysely<unknown>, view: string, kind: string, own: string) => {
  const firmwareOf = (hardwareType: string) => sql`max(r.firmware_id) FILTER (WHERE r.hardware_type = ${sql.lit(hardwareType)})`;
  const runs = (hardwareType: string) => sql`${firmwareOf(hardwareType)} AS ${sql.id(`${hardwareType}_firmware_id`)}`;
  // Grouped by every column of the device, so that a condition on external_id reaches its index.
  return sql`
    CREATE VIEW ${sql.id(view)} AS
    SELECT d.id, d.external_id, d.version,
           ${sql.join(['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate', 'audio_unlock', 'audio_battery_low'].map(runs))},
           ${firmwareOf('yandex_iot')} AS iot,
           max(r.firmware_update_dt) AS firmware_update_dt,
           (array_agg(r.firmware_update_time ORDER BY r.firmware_update_dt DESC NULLS LAST))[1] AS firmware_update_time,
           ${runs(own)},
           d.channel
    FROM devices d
    LEFT JOIN device_firmwares r ON r.device_id = d.id
    WHERE d.kind = ${sql.lit(kind)}
    GROUP BY d.id, d.external_id, d.version, d.channel`.execute(db);
};
