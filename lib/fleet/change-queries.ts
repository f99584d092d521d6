import { type RawBuilder, sql } from 'kysely';
import type { Db, Trx } from '../db/database.ts';
import { noteChangedDevices } from './candidate-queries.ts';
import { countMovedDevices, countMovedVersions, countNewDevices } from './count-queries.ts';
import type { Channel, DeviceKind } from './device.ts';
import type { NewDevice } from './new-device.ts';

/** `given (kind, external_id, version, channel, zone, tags, revision)`. In the last three, null means "not named" and '' means "none". */
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
/** Tags are sent as one text per device: PostgreSQL's arrays of arrays need inner arrays of one length. */
const joinTags = (tags: readonly string[]): string => tags.toSorted().join(',');
const splitTags = (tags: RawBuilder<unknown>) => sql`string_to_array(${tags}, ',')`;

/**
 * Adds devices that are not known yet, in one statement, and answers how many; known ones stay as they are. Only missing devices are inserted,
 * because even an insert that finds its row there uses up an id. Inserts in the order of the unique key, so that two calls at one moment cannot
 * wait for each other in a circle; waits for devices that another call is adding.
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
      RETURNING id, kind, zone
    ), noted AS (
      ${noteChangedDevices(sql`SELECT id AS device_id, kind FROM added`)}
    ), counted AS (
      ${countNewDevices}
    )
    SELECT count(*) AS n FROM added`.execute(db);
  return rows[0]?.n ?? 0;
};

/**
 * Until the transaction ends, no other call registers devices, so that each call sees from its beginning what the calls before have added.
 * Otherwise a call that took a device for missing and a call that found it would lock the same rows in different orders, and wait for each
 * other in a circle.
 */
export const takeTurnInRegistering = async (trx: Trx): Promise<void> => {
  await sql`SELECT pg_advisory_xact_lock('devices'::regclass::oid::integer, 0)`.execute(trx);
};

/**
 * A lock that plans of updates share, while the retirement of a device, and its move to another zone, take it alone. So these find the
 * executions that a plan has inserted before, and a plan made afterwards finds the device as it is then. Before any device is locked.
 */
export const planLock = sql`'update_executions'::regclass::oid::integer, 0`;
export const waitForPlans = async (trx: Trx): Promise<void> => {
  await sql`SELECT pg_advisory_xact_lock(${planLock})`.execute(trx);
};

/** Whether any of the devices stands in another zone than is given. Sends no statement if none is given. */
export const isAnyMoved = async (trx: Trx, devices: readonly NewDevice[]): Promise<boolean> => {
  const placed = devices.filter(({ zone }) => zone !== undefined);
  if (placed.length === 0) return false;
  const { rows } = await sql`
    SELECT FROM (${givenDevices(placed)}) given
    JOIN devices d ON d.kind = given.kind AND d.external_id = given.external_id
    WHERE coalesce(d.zone, '') <> given.zone
    LIMIT 1`.execute(trx);
  return rows.length > 0;
};

/** The fields of a known device that can be changed. */
export interface ChangeableDevice {
  id: number;
  version: number | null;
  channel: Channel;
  zone: string | null;
  tags: string[];
  revision: string | null;
  retired_dt: Date | null;
}

/** Locks the devices that differ from what is given, in the order of the unique key, and answers their new values. */
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

/** Locks a device: waits for other transactions that write to it. */
export const lockDevice = (
  trx: Trx,
  kind: DeviceKind,
  external_id: string,
  { isRenaming = false } = {},
): Promise<ChangeableDevice | undefined> => {
  const device = trx
    .selectFrom('devices')
    .select(['id', 'version', 'channel', 'zone', 'tags', 'revision', 'retired_dt'])
    .$narrowType<{ channel: Channel }>()
    .where('kind', '=', kind)
    .where('external_id', '=', external_id);
  // Its external id is a key: while that is changed, nothing may be stored that refers to the device.
  return (isRenaming ? device.forUpdate() : device.forNoKeyUpdate()).executeTakeFirst();
};

/** Gives a device another external id; the old one is kept as an alias. */
export const renameDevice = async (
  trx: Trx,
  { id, external_id }: { id: number; external_id: string },
  to: string,
  now: Date,
): Promise<void> => {
  await sql`
    WITH alias AS (
      INSERT INTO device_aliases (device_id, external_id, until_dt) VALUES (${id}, ${external_id}, ${now})
    )
    UPDATE devices SET external_id = ${to} WHERE id = ${id}`.execute(trx);
};

/** Changes devices that an earlier statement has locked, and moves them in the counts. */
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
    ), open_executions AS (
      -- In the order of ids, like all statements that write many executions.
      SELECT e.id, coalesce(moved.zone, '') AS zone
      FROM update_executions e JOIN moved ON moved.device_id = e.device_id
      WHERE e.status IN ('QUEUED', 'IN_PROGRESS') AND e.zone <> coalesce(moved.zone, '')
      ORDER BY e.id
      FOR NO KEY UPDATE OF e
    ), moved_executions AS (
      UPDATE update_executions e SET zone = o.zone FROM open_executions o WHERE e.id = o.id
    ), noted AS (
      ${noteChangedDevices(sql`SELECT d.id AS device_id, d.kind FROM devices d JOIN wanted USING (id)`)}
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
 * Adds missing devices and changes those that differ from what is given; each (kind, external_id) may come once. Missing ones, the locks of
 * those that differ, and their change need a statement each: a row that a statement counts has to be locked before it begins.
 */
export const upsertDevices = async (db: Db, devices: readonly NewDevice[], now: Date): Promise<{ created: number; changed: number }> => {
  const created = await addDevices(db, devices, now);
  // Every call locks after it has inserted the missing ones: with different orders, two calls could wait for each other in a circle.
  const differing = await lockDiffering(db, devices);
  if (differing.length > 0) await changeDevices(db, differing);
  return { created, changed: differing.length };
};
