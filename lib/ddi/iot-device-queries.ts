import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { keepAttributes, type ToldAttributes } from '../fleet/attribute-queries.ts';
import { countSeen } from '../fleet/count-queries.ts';
import type { DeviceKind } from '../fleet/device.ts';
import type { DeviceWork } from '../update/reach/device-work.ts';
import { hasDeviceWork, listDeviceWork } from '../update/reach/device-work-queries.ts';
import type { ControllerId } from './controller-id.ts';

export const findDevice = (db: Db, kind: DeviceKind, external_id: string) =>
  db.selectFrom('devices').select(['id', 'channel']).where('kind', '=', kind).where('external_id', '=', external_id).executeTakeFirst();

export interface NewToken extends ControllerId {
  token_sha256: Buffer;
}

/** Stores the new token of a device that polls; false when there is no such device. */
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

/** Stores first tokens, in one statement, for those of the devices that poll and have none; answers which devices got one. */
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

export interface IotDevice extends ControllerId {
  device_id: number;
  /** Generation of a scooter; null: its own IoT, or a cabinet. */
  version: number | null;
  last_seen_dt: Date | null;
  /** When it last told its attributes; null: never, or it is to tell them again. */
  config_data_dt: Date | null;
  /** Whether it has any unfinished execution; {@link listWork} finds them. */
  has_work: boolean;
}

/**
 * A device that polls, and the hash of its token: all that most polls need. The device's work is read by {@link listWork}, because PostgreSQL
 * plans this statement at every poll, and joining those tables would double that time. Undefined for a device that is not registered, or
 * does not poll.
 */
export const findIotDevice = async (
  db: Db,
  { kind, external_id }: ControllerId,
): Promise<{ device: IotDevice; token_sha256: Buffer | null } | undefined> => {
  const { rows } = await sql<IotDevice & { token_sha256: Buffer | null }>`
    SELECT d.id AS device_id, d.kind, d.external_id, d.version, d.last_seen_dt, i.token_sha256, i.config_data_dt, ${hasDeviceWork} AS has_work
    FROM devices d
    LEFT JOIN iot_devices i ON i.device_id = d.id
    WHERE d.kind = ${kind} AND d.external_id = ${external_id} AND d.channel = 'iot'`.execute(db);
  if (!rows[0]) return undefined;
  const { token_sha256, ...device } = rows[0];
  return { device, token_sha256 };
};

/** The unfinished executions of a device. Sends no statement if the device has none. */
export const listWork = async (db: Db, { device_id, has_work }: IotDevice, now: Date): Promise<DeviceWork[]> =>
  has_work ? listDeviceWork(db, device_id, now) : [];

/** Notes in one statement that a device has called, and counts it (lib/stats). Does nothing if another call has just noted it. */
export const markSeen = async (db: Db, device_id: number, before: Date, now: Date): Promise<void> => {
  await sql`
    WITH seen AS (
      UPDATE devices SET last_seen_dt = ${now}
      WHERE id = ${device_id} AND (last_seen_dt IS NULL OR last_seen_dt < ${before})
      RETURNING id, kind, last_seen_on
    )
    ${countSeen}`.execute(db);
};

/** Stores the attributes that a device has told, and in the same statement when it told them, unless it has to tell them again. */
export const storeConfigData = (
  device_id: number,
  told: ToldAttributes,
  { isWantedAgain, now }: { isWantedAgain: boolean; now: Date },
): RawBuilder<unknown> => {
  const kept = keepAttributes(device_id, told, now);
  return isWantedAgain
    ? kept
    : sql`
      WITH kept AS (
        ${kept}
      )
      INSERT INTO iot_devices (device_id, config_data_dt) VALUES (${device_id}, ${now})
      ON CONFLICT ON CONSTRAINT iot_devices_pkey DO UPDATE SET config_data_dt = excluded.config_data_dt`;
};

/** Notes that the device is to tell its attributes again. */
export const wantConfigData = (device_id: number): RawBuilder<unknown> => sql`
  INSERT INTO iot_devices (device_id, config_data_dt) VALUES (${device_id}, NULL)
  ON CONFLICT ON CONSTRAINT iot_devices_pkey DO UPDATE SET config_data_dt = NULL`;
