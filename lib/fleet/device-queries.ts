import { type RawBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import type { Db } from '../db/database.ts';
import { decodeCursor, listOf, type Page, toPage } from '../http/page.ts';
import type { DeviceKind, ReportSource } from './device.ts';
import type { DeviceAttributes, DeviceWithHistory } from './device-detail.ts';
import type { Device, InstalledFirmware, PastFirmware } from './shown-device.ts';

interface DeviceRow extends Omit<Device, 'firmwares'> {
  id: number;
  /** null: it runs none. */
  firmwares: FirmwareColumns[] | null;
}

/** Of {@link InstalledFirmware}. A page of devices has hundreds of them: one text for each device is read several times as fast as a row for each. */
type FirmwareColumns = [
  hardware_type: string,
  firmware_id: number | null,
  version: string,
  version_num: number | null,
  is_newest: boolean,
  firmware_update_dt: string,
  firmware_update_time: number | null,
  observed_dt: string,
  source: ReportSource,
];

/** Devices with what each runs now. `chosen` restricts `devices d`, and `more` adds columns. */
const selectDeviceRows = <More = unknown>(chosen: RawBuilder<unknown>, order: RawBuilder<unknown>, more = sql``) => sql<DeviceRow & More>`
    SELECT ${more} d.id, d.kind, d.external_id, d.version, d.channel, d.zone, d.tags, d.revision, d.retired_dt,
           d.created_dt, d.last_seen_dt, installed.firmwares
    FROM devices d
    CROSS JOIN LATERAL (
      SELECT json_agg(
        json_build_array(
          r.hardware_type, r.firmware_id, coalesce(f.version, r.reported_version), f.version_num,
          f.version_num IS NOT NULL AND f.version_num >= coalesce(newest.version_num, 0),
          r.firmware_update_dt, r.firmware_update_time, r.observed_dt, r.source
        ) ORDER BY r.hardware_type
      ) AS firmwares
      FROM device_firmwares r
      LEFT JOIN firmwares f ON f.id = r.firmware_id
      -- Found by the index, once for all devices of a hardware type.
      LEFT JOIN LATERAL (
        SELECT n.version_num FROM firmwares n
        WHERE n.hardware_type = r.hardware_type AND n.status = 'available'
        ORDER BY n.version_num DESC
        LIMIT 1
      ) newest ON true
      WHERE r.device_id = d.id
    ) installed
    WHERE ${chosen}
    ORDER BY ${order}`;

const toDevices = (rows: readonly DeviceRow[]): Map<number, Device> =>
  new Map(rows.map(({ id, firmwares, ...own }) => [id, { ...own, firmwares: (firmwares ?? []).map(toInstalledFirmware) }]));

const toInstalledFirmware = (columns: FirmwareColumns): InstalledFirmware => {
  const [hardware_type, firmware_id, version, version_num, is_newest, updated, firmware_update_time, observed, source] = columns;
  const times = { firmware_update_dt: toTimestamp(updated), firmware_update_time, observed_dt: toTimestamp(observed) };
  return { hardware_type, firmware_id, version, version_num, is_newest, ...times, source };
};

/** A moment as PostgreSQL writes it in JSON, `2026-11-24T08:00:00.5+00:00`, in the form of all answers. */
const toTimestamp = (text: string): string =>
  text[10] === 'T' && text.endsWith('+00:00') ? `${text.slice(0, 19)}.${text.slice(20, -6).padEnd(3, '0')}Z` : new Date(text).toISOString();

/** Reads devices, by their ids, in one statement for any number of devices. */
export const selectDevices = async (db: Db, chosen: RawBuilder<unknown>, order: RawBuilder<unknown>): Promise<Map<number, Device>> =>
  toDevices((await selectDeviceRows(chosen, order).execute(db)).rows);

interface AttributeColumns {
  attributes: DeviceAttributes | null;
  attributes_dt: Date | null;
  aliases: { external_id: string; until_dt: string }[];
}

/** One device with what it runs and with its attributes, in one statement. */
export const findDeviceWithAttributes = async (db: Db, kind: DeviceKind, external_id: string): Promise<DeviceWithHistory | undefined> => {
  const { rows } = await selectDeviceRows<AttributeColumns>(
    sql`d.kind = ${kind} AND d.external_id = ${external_id}`,
    sql`d.id`,
    sql`
      (SELECT a.attributes FROM device_attributes a WHERE a.device_id = d.id) AS attributes,
      (SELECT a.told_dt FROM device_attributes a WHERE a.device_id = d.id) AS attributes_dt,
      (
        SELECT coalesce(jsonb_agg(jsonb_build_object('external_id', a.external_id, 'until_dt', a.until_dt) ORDER BY a.id DESC), '[]')
        FROM device_aliases a WHERE a.device_id = d.id
      ) AS aliases,`,
  ).execute(db);
  const [first] = rows;
  if (!first) return undefined;
  const { attributes, attributes_dt } = first;
  const [device] = toDevices(rows.map(({ attributes: _attributes, attributes_dt: _dt, aliases: _aliases, ...row }) => row)).values();
  const aliases = first.aliases.map(({ until_dt, ...alias }) => ({ ...alias, until_dt: new Date(until_dt) }));
  return device && { ...device, attributes: attributes ?? {}, attributes_dt, aliases };
};

/** Unknown ids are missing from the answer, which is ordered by external_id. */
export const listDevicesWithFirmwares = async (db: Db, kind: DeviceKind, externalIds: readonly string[]): Promise<Device[]> => {
  const devices = await selectDevices(db, sql`d.kind = ${kind} AND d.external_id = ANY (${externalIds}::text[])`, sql`d.external_id`);
  return [...devices.values()];
};

const HistoryCursor = z.tuple([z.int()]);

export interface HistoryFilter {
  kind: DeviceKind;
  external_id: string;
  limit: number;
  cursor?: string | undefined;
}

/** The latest knowledge first. An entry has its firmware even if the version came into the catalogue later. */
export const listHistory = async (db: Db, { kind, external_id, limit, cursor }: HistoryFilter): Promise<Page<PastFirmware>> => {
  const list = listOf('history', { kind, external_id });
  const before = decodeCursor(list, HistoryCursor, cursor);
  let query = db
    .selectFrom('device_firmware_history as h')
    .leftJoin('firmwares as f', (join) =>
      join
        .onRef('f.hardware_type', '=', 'h.hardware_type')
        .onRef('f.version', '=', 'h.reported_version')
        .on('f.status', 'in', ['available', 'lost', 'withdrawn']),
    )
    .select([
      'h.id',
      'h.hardware_type',
      'f.id as firmware_id',
      'h.reported_version as version',
      'f.version_num',
      'h.firmware_update_dt',
      'h.firmware_update_time',
      'h.observed_dt',
      'h.occurred_dt',
      'h.source',
    ])
    .$narrowType<{ source: ReportSource }>()
    // A subquery instead of a join, so that PostgreSQL reads the rows from the index in their order, and no more than needed.
    .where('h.device_id', '=', (eb) =>
      eb.selectFrom('devices').select('id').where('kind', '=', kind).where('external_id', '=', external_id),
    );
  if (before) query = query.where('h.id', '<', before[0]);
  const rows = await query
    .orderBy('h.id', 'desc')
    .limit(limit + 1)
    .execute();
  const { items, next_cursor } = toPage(list, rows, limit, (row) => [row.id]);
  return { items: items.map(({ id: _id, ...past }) => past), next_cursor };
};
