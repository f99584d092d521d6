import { type RawBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import type { Db, Trx } from '../db/database.ts';
import { decodeCursor, listOf, type Page, toPage } from '../http/page.ts';
import { countMovedDevices, countMovedVersions, countNewDevices } from './count-queries.ts';
import type { Channel, DeviceConditions, DeviceKind, ReportSource } from './device.ts';
import type { DeviceAttributes } from './device-detail.ts';
import { deviceIdPage, deviceIdPageByPrefix, externalId } from './device-page-queries.ts';
import type { NewDevice } from './new-device.ts';
import type { Device, PastFirmware } from './shown-device.ts';

/** `given (kind, external_id, version, channel, zone, tags, revision)`. Of the last three, null is not named, and '' is none. */
const givenDevices = (devices: readonly NewDevice[]) => sql`
  SELECT *
  FROM unnest(
    ${devices.map((d) => d.kind)}::text[],
    ${devices.map((d) => d.external_id)}::text[],
    ${devices.map((d) => d.version)}::smallint[],
    ${devices.map((d) => d.channel)}::text[],
    ${devices.map((d) => orEmpty(d.zone))}::text[],
    ${devices.map((d) => orEmpty(d.tags && joinTags(d.tags)))}::text[],
    ${devices.map((d) => orEmpty(d.revision))}::text[]
  ) AS d (kind, external_id, version, channel, zone, tags, revision)`;

const orEmpty = (value: string | null | undefined): string | null => (value === undefined ? null : (value ?? ''));
/** An array of arrays would have to be of one length. */
const joinTags = (tags: readonly string[]): string => tags.toSorted().join(',');
const splitTags = (tags: RawBuilder<unknown>) => sql`string_to_array(${tags}, ',')`;

/**
 * Adds devices that are not known yet, in one statement, and answers how many; known ones stay as they are. A row that is offered takes an id
 * for good, also when it then turns out to be there: so only missing ones are offered. In the order of the unique key, so that two calls at
 * one moment cannot wait for each other in a circle; what another call adds at this moment is waited for.
 */
export const addDevices = async (db: Db, devices: readonly NewDevice[], now: Date): Promise<number> => {
  const { rows } = await sql<{ n: number }>`
    WITH given AS (
      ${givenDevices(devices)}
    ), added AS (
      INSERT INTO devices (kind, external_id, version, channel, zone, tags, revision, created_dt)
      SELECT kind, external_id, version, channel, nullif(zone, ''), coalesce(${splitTags(sql`tags`)}, '{}'), nullif(revision, ''), ${now}
      FROM given
      WHERE NOT EXISTS (SELECT FROM devices d WHERE d.kind = given.kind AND d.external_id = given.external_id)
      ORDER BY kind, external_id
      ON CONFLICT ON CONSTRAINT devices_kind_external_id_key DO NOTHING
      RETURNING kind, zone
    ), counted AS (
      ${countNewDevices}
    )
    SELECT count(*) AS n FROM added`.execute(db);
  return rows[0]?.n ?? 0;
};

/**
 * Until the transaction ends no other call registers devices. What one call adds is there for the next one from its beginning: otherwise a
 * call that took a device for missing and one that found it would lock the same rows in different orders, and wait for each other in a circle.
 */
export const takeTurnInRegistering = async (trx: Trx): Promise<void> => {
  await sql`SELECT pg_advisory_xact_lock('devices'::regclass::oid::integer, 0)`.execute(trx);
};

/** What can be changed of a device that is known. */
export interface ChangeableDevice {
  id: number;
  version: number | null;
  channel: Channel;
  zone: string | null;
  tags: string[];
  revision: string | null;
  retired_dt: Date | null;
}

/** Locks the devices that are not as they are given, in the order of the unique key, and answers how they should be. */
const lockDiffering = async (trx: Db, devices: readonly NewDevice[]): Promise<ChangeableDevice[]> => {
  const { rows } = await sql<ChangeableDevice>`
    SELECT d.id, wanted.*, d.retired_dt
    FROM (${givenDevices(devices)}) given
    JOIN devices d ON d.kind = given.kind AND d.external_id = given.external_id
    CROSS JOIN LATERAL (
      SELECT given.version, given.channel,
             CASE WHEN given.zone IS NULL THEN d.zone ELSE nullif(given.zone, '') END AS zone,
             coalesce(${splitTags(sql`given.tags`)}, d.tags) AS tags,
             CASE WHEN given.revision IS NULL THEN d.revision ELSE nullif(given.revision, '') END AS revision
    ) wanted
    WHERE (d.version, d.channel, d.zone, d.tags, d.revision)
          IS DISTINCT FROM (wanted.version, wanted.channel, wanted.zone, wanted.tags, wanted.revision)
    ORDER BY d.kind, d.external_id
    FOR NO KEY UPDATE OF d`.execute(trx);
  return rows;
};

/** Waits for others who write about the device. */
export const lockDevice = (trx: Trx, kind: DeviceKind, external_id: string): Promise<ChangeableDevice | undefined> =>
  trx
    .selectFrom('devices')
    .select(['id', 'version', 'channel', 'zone', 'tags', 'revision', 'retired_dt'])
    .$narrowType<{ channel: Channel }>()
    .where('kind', '=', kind)
    .where('external_id', '=', external_id)
    .forNoKeyUpdate()
    .executeTakeFirst();

/** Changes devices that a statement before has locked, and has them counted where they are then. */
export const changeDevices = async (trx: Db, devices: readonly ChangeableDevice[]): Promise<void> => {
  await sql`
    WITH wanted AS (
      SELECT id, version, channel, zone, ${splitTags(sql`tags`)} AS tags, revision, retired_dt
      FROM unnest(
        ${devices.map((d) => d.id)}::integer[],
        ${devices.map((d) => d.version)}::smallint[],
        ${devices.map((d) => d.channel)}::text[],
        ${devices.map((d) => d.zone)}::text[],
        ${devices.map((d) => joinTags(d.tags))}::text[],
        ${devices.map((d) => d.revision)}::text[],
        ${devices.map((d) => d.retired_dt)}::timestamptz[]
      ) AS d (id, version, channel, zone, tags, revision, retired_dt)
    ), moved AS (
      SELECT d.id AS device_id, d.kind, d.last_seen_on, d.zone AS from_zone, d.retired_dt AS was_retired_dt, wanted.zone, wanted.retired_dt
      FROM devices d JOIN wanted USING (id)
      WHERE (d.zone, d.retired_dt IS NULL) IS DISTINCT FROM (wanted.zone, wanted.retired_dt IS NULL)
    ), moves AS MATERIALIZED (
      SELECT device_id, kind, last_seen_on, coalesce(from_zone, '') AS zone, -1 AS change FROM moved WHERE was_retired_dt IS NULL
      UNION ALL
      SELECT device_id, kind, last_seen_on, coalesce(zone, ''), 1 FROM moved WHERE retired_dt IS NULL
    ), moved_versions AS (
      ${countMovedVersions}
    ), moved_devices AS (
      ${countMovedDevices}
    )
    UPDATE devices d
    SET version = wanted.version, channel = wanted.channel, zone = wanted.zone, tags = wanted.tags, revision = wanted.revision,
        retired_dt = wanted.retired_dt
    FROM wanted
    WHERE d.id = wanted.id`.execute(trx);
};

/**
 * Adds devices and changes those that are not as they are given; each (kind, external_id) may come once. A statement each for those that are
 * missing, for the locks of those that differ, and for their change: what a statement counts by has to be locked before it begins.
 */
export const upsertDevices = async (db: Db, devices: readonly NewDevice[], now: Date): Promise<{ created: number; changed: number }> => {
  const created = await addDevices(db, devices, now);
  // After the missing ones, in every call: two that began differently could wait for each other.
  const differing = await lockDiffering(db, devices);
  if (differing.length > 0) await changeDevices(db, differing);
  return { created, changed: differing.length };
};

interface DeviceRow extends Omit<Device, 'firmwares'> {
  id: number;
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

/** Devices with what each runs now, by their ids; `chosen` restricts `devices d`, and `more` are further columns. */
const selectDeviceRows = <More = unknown>(chosen: RawBuilder<unknown>, order: RawBuilder<unknown>, more = sql``) => sql<DeviceRow & More>`
    SELECT ${more} d.id, d.kind, d.external_id, d.version, d.channel, d.zone, d.tags, d.revision, d.retired_dt,
           d.created_dt, d.last_seen_dt,
           r.hardware_type, r.firmware_id, coalesce(f.version, r.reported_version) AS firmware_version, f.version_num,
           f.version_num IS NOT NULL AND f.version_num >= coalesce(newest.version_num, 0) AS is_newest,
           r.firmware_update_dt, r.firmware_update_time, r.observed_dt, r.source
    FROM devices d
    LEFT JOIN device_firmwares r ON r.device_id = d.id
    LEFT JOIN firmwares f ON f.id = r.firmware_id
    -- Found by the index, and once for all devices of a hardware type.
    LEFT JOIN LATERAL (
      SELECT n.version_num FROM firmwares n
      WHERE n.hardware_type = r.hardware_type AND n.status = 'available'
      ORDER BY n.version_num DESC
      LIMIT 1
    ) newest ON true
    WHERE ${chosen}
    ORDER BY ${order}, r.hardware_type`;

const toDevices = (rows: readonly DeviceRow[]): Map<number, Device> => {
  const devices = new Map<number, Device>();
  for (const { id, hardware_type, firmware_id, firmware_version, version_num, is_newest, ...row } of rows) {
    const { firmware_update_dt, firmware_update_time, observed_dt, source, ...own } = row;
    const device = devices.get(id) ?? { ...own, firmwares: [] };
    devices.set(id, device);
    const seen = { firmware_update_dt, firmware_update_time, observed_dt, source };
    if (hardware_type !== null)
      device.firmwares.push({ hardware_type, firmware_id, version: firmware_version, version_num, is_newest, ...seen });
  }
  return devices;
};

/** In one statement, whatever their number. */
const selectDevices = async (db: Db, chosen: RawBuilder<unknown>, order: RawBuilder<unknown>): Promise<Map<number, Device>> =>
  toDevices((await selectDeviceRows(chosen, order).execute(db)).rows);

interface AttributeColumns {
  attributes: DeviceAttributes | null;
  attributes_dt: Date | null;
}

/** One device with what it runs and what it tells of itself, in one statement. */
export const findDeviceWithAttributes = async (
  db: Db,
  kind: DeviceKind,
  external_id: string,
): Promise<(Device & { attributes: DeviceAttributes; attributes_dt: Date | null }) | undefined> => {
  const { rows } = await selectDeviceRows<AttributeColumns>(
    sql`d.kind = ${kind} AND d.external_id = ${external_id}`,
    sql`d.id`,
    sql`
      (SELECT a.attributes FROM device_attributes a WHERE a.device_id = d.id) AS attributes,
      (SELECT a.told_dt FROM device_attributes a WHERE a.device_id = d.id) AS attributes_dt,`,
  ).execute(db);
  const [first] = rows;
  if (!first) return undefined;
  const { attributes, attributes_dt } = first;
  const [device] = toDevices(rows.map(({ attributes: _attributes, attributes_dt: _dt, ...row }) => row)).values();
  return device && { ...device, attributes: attributes ?? {}, attributes_dt };
};

/** Unknown ids are missing from the answer, which is ordered by external_id. */
export const listDevicesWithFirmwares = async (db: Db, kind: DeviceKind, externalIds: readonly string[]): Promise<Device[]> => {
  const devices = await selectDevices(db, sql`d.kind = ${kind} AND d.external_id = ANY (${externalIds}::text[])`, sql`d.external_id`);
  return [...devices.values()];
};

const IdCursor = z.tuple([z.int32()]);

export interface DeviceFilter extends DeviceConditions {
  limit: number;
  cursor?: string | undefined;
}

/** By the order in which they were registered, so that a device that is added later comes on a later page; with a prefix, by external id. */
export const listDevices = (db: Db, { external_id_prefix, ...filter }: DeviceFilter): Promise<Page<Device>> =>
  external_id_prefix === undefined ? listDevicesById(db, filter) : listDevicesByPrefix(db, { external_id_prefix, ...filter });

const listDevicesById = async (db: Db, { limit, cursor, ...conditions }: DeviceFilter): Promise<Page<Device>> => {
  const list = listOf('devices', conditions);
  const [after] = decodeCursor(list, IdCursor, cursor) ?? [0];
  const devices = await selectDevices(db, sql`d.id IN (${deviceIdPage(conditions, after, limit + 1)})`, sql`d.id`);
  const { items, next_cursor } = toPage(list, [...devices], limit, ([id]) => [id]);
  return { items: items.map(([, device]) => device), next_cursor };
};

const PrefixCursor = z.tuple([z.string(), z.int32()]);

const listDevicesByPrefix = async (
  db: Db,
  { limit, cursor, ...conditions }: DeviceFilter & { external_id_prefix: string },
): Promise<Page<Device>> => {
  const list = listOf('devices by prefix', conditions);
  const [external_id, id] = decodeCursor(list, PrefixCursor, cursor) ?? [];
  const after = external_id !== undefined && id !== undefined ? { external_id, id } : undefined;
  const devices = await selectDevices(db, sql`d.id IN (${deviceIdPageByPrefix(conditions, after, limit + 1)})`, sql`${externalId}, d.id`);
  const { items, next_cursor } = toPage(list, [...devices], limit, ([key, device]) => [device.external_id, key]);
  return { items: items.map(([, device]) => device), next_cursor };
};

const HistoryCursor = z.tuple([z.int()]);

export interface HistoryFilter {
  kind: DeviceKind;
  external_id: string;
  limit: number;
  cursor?: string | undefined;
}

/** What was learned last comes first. A version that came into the catalogue later is known by its firmware. */
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
    // Not joined, so that the index gives the rows in their order and no more of them than are wanted.
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
