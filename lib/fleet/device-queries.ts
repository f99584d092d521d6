import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { Channel, Device, DeviceKind, NewDevice, ReportSource } from './device.ts';

/**
 * Adds devices and changes those whose version or channel differs, in one statement. Each (kind, external_id) may come once.
 * Written in the order of the unique key, so that two calls at one moment cannot wait for each other in a circle.
 */
export const upsertDevices = async (db: Db, devices: readonly NewDevice[], now: Date): Promise<{ created: number; changed: number }> => {
  const { rows } = await sql<{ created: number; changed: number }>`
    WITH written AS (
      INSERT INTO devices (kind, external_id, version, channel, created_dt)
      SELECT kind, external_id, version, channel, ${now}
      FROM unnest(
        ${devices.map((d) => d.kind)}::text[],
        ${devices.map((d) => d.external_id)}::text[],
        ${devices.map((d) => d.version)}::smallint[],
        ${devices.map((d) => d.channel)}::text[]
      ) AS d (kind, external_id, version, channel)
      ORDER BY kind, external_id
      ON CONFLICT ON CONSTRAINT devices_kind_external_id_key
      DO UPDATE SET version = excluded.version, channel = excluded.channel
      WHERE (devices.version, devices.channel) IS DISTINCT FROM (excluded.version, excluded.channel)
      RETURNING xmax = 0 AS is_new
    )
    SELECT count(*) FILTER (WHERE is_new) AS created, count(*) FILTER (WHERE NOT is_new) AS changed FROM written`.execute(db);
  const [row] = rows;
  return row ?? { created: 0, changed: 0 };
};

interface DeviceRow {
  kind: DeviceKind;
  external_id: string;
  version: number | null;
  channel: Channel;
  created_dt: Date;
  hardware_type: string | null;
  firmware_id: number | null;
  firmware_version: string;
  version_num: number | null;
  is_newest: boolean;
  firmware_update_dt: Date;
  firmware_update_time: number | null;
  observed_dt: Date;
  source: ReportSource;
}

/** Devices with what each runs now, in one statement; unknown ids are missing from the answer, which is ordered by external_id. */
export const listDevicesWithFirmwares = async (db: Db, kind: DeviceKind, externalIds: readonly string[]): Promise<Device[]> => {
  const { rows } = await sql<DeviceRow>`
    SELECT d.kind, d.external_id, d.version, d.channel, d.created_dt,
           r.hardware_type, r.firmware_id, coalesce(f.version, r.reported_version) AS firmware_version, f.version_num,
           f.version_num IS NOT NULL AND NOT EXISTS (
             SELECT FROM firmwares newer
             WHERE newer.hardware_type = r.hardware_type AND newer.version_num > f.version_num AND newer.status = 'available'
           ) AS is_newest,
           r.firmware_update_dt, r.firmware_update_time, r.observed_dt, r.source
    FROM devices d
    LEFT JOIN device_firmwares r ON r.device_id = d.id
    LEFT JOIN firmwares f ON f.id = r.firmware_id
    WHERE d.kind = ${kind} AND d.external_id = ANY (${externalIds}::text[])
    ORDER BY d.external_id, r.hardware_type`.execute(db);
  return groupByDevice(rows);
};

const groupByDevice = (rows: readonly DeviceRow[]): Device[] => {
  const devices = new Map<string, Device>();
  for (const { kind, external_id, version, channel, created_dt, hardware_type, firmware_version, ...installed } of rows) {
    const device = devices.get(external_id) ?? { kind, external_id, version, channel, created_dt, firmwares: [] };
    devices.set(external_id, device);
    if (hardware_type !== null) device.firmwares.push({ hardware_type, version: firmware_version, ...installed });
  }
  return [...devices.values()];
};
