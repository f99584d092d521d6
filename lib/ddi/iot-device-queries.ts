import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { DeviceKind } from '../fleet/device.ts';
import type { ControllerId } from './controller-id.ts';

export const findDevice = (db: Db, kind: DeviceKind, external_id: string) =>
  db.selectFrom('devices').select(['id', 'channel']).where('kind', '=', kind).where('external_id', '=', external_id).executeTakeFirst();

export interface NewToken extends ControllerId {
  token_sha256: Buffer;
}

/** Gives a device that polls another token, or its first one; false when there is no such device. */
export const storeToken = async (
  db: Db,
  { kind, external_id, token_sha256, created_by, now }: NewToken & { created_by: string; now: Date },
): Promise<boolean> => {
  const { rows } = await sql`
    INSERT INTO iot_devices AS i (device_id, token_sha256, token_created_dt, token_created_by)
    SELECT id, ${token_sha256}, ${now}, ${created_by} FROM devices
    WHERE kind = ${kind} AND external_id = ${external_id} AND channel = 'iot'
    ON CONFLICT ON CONSTRAINT iot_devices_pkey DO UPDATE SET
      token_sha256 = excluded.token_sha256, token_created_dt = excluded.token_created_dt, token_created_by = excluded.token_created_by
    RETURNING device_id`.execute(db);
  return rows.length > 0;
};

/** Gives a first token to those of the devices that poll and have none, and answers which, in one statement. */
export const storeFirstTokens = async (db: Db, tokens: readonly NewToken[], created_by: string, now: Date): Promise<ControllerId[]> => {
  const { rows } = await sql<ControllerId>`
    WITH stored AS (
      INSERT INTO iot_devices AS i (device_id, token_sha256, token_created_dt, token_created_by)
      SELECT d.id, t.token_sha256, ${now}, ${created_by}
      FROM unnest(
        ${tokens.map((t) => t.kind)}::text[],
        ${tokens.map((t) => t.external_id)}::text[],
        ${tokens.map((t) => t.token_sha256)}::bytea[]
      ) AS t (kind, external_id, token_sha256)
      JOIN devices d ON d.kind = t.kind AND d.external_id = t.external_id AND d.channel = 'iot'
      ORDER BY d.id
      ON CONFLICT ON CONSTRAINT iot_devices_pkey DO UPDATE SET
        token_sha256 = excluded.token_sha256, token_created_dt = excluded.token_created_dt, token_created_by = excluded.token_created_by
        WHERE i.token_sha256 IS NULL
      RETURNING device_id
    )
    SELECT d.kind, d.external_id FROM stored JOIN devices d ON d.id = stored.device_id`.execute(db);
  return rows;
};
