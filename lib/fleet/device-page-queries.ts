import { type RawBuilder, sql } from 'kysely';
import { type DeviceConditions, DeviceKind } from './device.ts';

/**
 * The ids of a page of devices, so that any page of a fleet of millions costs what the first one does: an index holds the devices of a
 * condition in the order of their ids, the page begins in it where the last one ended, and ends when it is full. Where a condition means
 * several places of an index, each of them gives as many as a whole page, and the first of all those are the page.
 *
 * Of several conditions the one that most likely means the fewest devices is looked up so, and its devices are asked about the others,
 * one by one. So a page of devices that hardly exist costs as much as that one condition has devices.
 */
export const deviceIdPage = (conditions: DeviceConditions, after: number, size: number): RawBuilder<unknown> => sql`
  SELECT id FROM (${candidates(conditions, { after, size })}) candidates ORDER BY id LIMIT ${size}`;

/** The place of a device in the order of external ids; ids of scooters and cabinets may be the same. */
export interface ExternalIdPlace {
  external_id: string;
  id: number;
}

/**
 * The same in the order of external ids, of the devices whose external id begins in one way: their index holds them side by side. Each of
 * them is asked about the other conditions, until the page is full.
 */
export const deviceIdPageByPrefix = (
  { external_id_prefix: prefix, ...others }: DeviceConditions & { external_id_prefix: string },
  after: ExternalIdPlace | undefined,
  size: number,
): RawBuilder<unknown> => {
  const begin = after ? sql`(${externalId}, d.id) > (${after.external_id}, ${after.id})` : sql`${externalId} >= ${prefix}`;
  return sql`
    SELECT d.id FROM devices d
    WHERE ${allOf([begin, sql`${externalId} < ${prefix + afterEveryCharacter}`, ...conditionsOf(others)])}
    ORDER BY ${externalId}, d.id
    LIMIT ${size}`;
};

/** As the index has it: by character codes, whatever the language of the database. */
export const externalId = sql`d.external_id COLLATE "C"`;
/** Comes after all characters that an external id may have. */
const afterEveryCharacter = '\u007f';

interface Bounds {
  after: number;
  size: number;
}

const candidates = (conditions: DeviceConditions, bounds: Bounds): RawBuilder<unknown> => {
  const { runs_firmware_id, unknown_version, older_than_firmware_id, not_seen_since, ...ofClass } = conditions;
  if (runs_firmware_id !== undefined) {
    const others = { ...conditions, runs_firmware_id: undefined };
    return installedIn(sql`r.firmware_id = ${runs_firmware_id}`, others, bounds);
  }
  if (unknown_version !== undefined) {
    const others = { ...conditions, unknown_version: undefined };
    return installedIn(sql`r.hardware_type = ${unknown_version} AND r.firmware_id IS NULL`, others, bounds);
  }
  if (older_than_firmware_id !== undefined) {
    const others = { ...conditions, older_than_firmware_id: undefined };
    return sql`
      SELECT place.id
      FROM firmwares newer
      JOIN firmwares older ON older.hardware_type = newer.hardware_type AND older.version_num < newer.version_num
      CROSS JOIN LATERAL (${installedIn(sql`r.firmware_id = older.id`, others, bounds)}) place
      WHERE newer.id = ${older_than_firmware_id}`;
  }
  if (not_seen_since !== undefined) {
    return unionOf(kindsOf(ofClass).flatMap((kind) => lastSeenBefore(not_seen_since, { ...ofClass, kind }, bounds)));
  }
  const classes = classesOf(ofClass);
  if (classes.length === everyClass.length) return allDevices(bounds);
  return unionOf(classes.map((place) => devicesIn(place, bounds)));
};

const unionOf = (places: readonly RawBuilder<unknown>[]) =>
  sql.join(
    places.map((place) => sql`(${place})`),
    sql` UNION ALL `,
  );
const allOf = (conditions: readonly RawBuilder<unknown>[]) => sql.join(conditions, sql` AND `);

/** One place of an index of device_firmwares; its devices are asked about the other conditions one by one, in a subquery of their own. */
const installedIn = (place: RawBuilder<unknown>, others: DeviceConditions, { after, size }: Bounds): RawBuilder<unknown> => {
  const conditions = conditionsOf(others);
  const isMeant = conditions.length > 0 ? sql`AND (SELECT ${allOf(conditions)} FROM devices d WHERE d.id = r.device_id)` : sql``;
  return sql`
    SELECT r.device_id AS id
    FROM device_firmwares r
    WHERE ${place} AND r.device_id + 0 > ${after} ${isMeant}
    ORDER BY r.device_id + 0
    LIMIT ${size}`;
};

/** One place of an index of devices. */
const devicesIn = (place: RawBuilder<unknown>, { after, size }: Bounds): RawBuilder<unknown> => sql`
  SELECT d.id FROM devices d WHERE ${place} AND d.id + 0 > ${after} ORDER BY d.id + 0 LIMIT ${size}`;

const allDevices = ({ after, size }: Bounds) => sql`SELECT d.id FROM devices d WHERE d.id > ${after} ORDER BY d.id LIMIT ${size}`;

const millisecondsPerDay = 86_400_000;

/**
 * Every day on which any device of the kind was last seen is a place; the index is asked for each day's successor. When the time is in
 * the middle of a day, the devices that were last seen on that day are another one, of which only some are meant.
 */
const lastSeenBefore = (time: Date, ofClass: DeviceConditions & { kind: DeviceKind }, bounds: Bounds): RawBuilder<unknown>[] => {
  const day = sql`(${time}::timestamptz AT TIME ZONE 'UTC')::date`;
  const seenOn = (place: RawBuilder<unknown>) => allOf([...conditionsOf(ofClass), sql`d.last_seen_on = ${place}`]);
  const firstDay = (condition: RawBuilder<unknown>) => sql`
    SELECT d.last_seen_on FROM devices d WHERE d.kind = ${ofClass.kind} AND ${condition} ORDER BY d.last_seen_on LIMIT 1`;
  const daysBefore = sql`
    WITH RECURSIVE days (day) AS (
      (${firstDay(sql`true`)})
      UNION ALL
      SELECT (${firstDay(sql`d.last_seen_on > days.day`)}) FROM days WHERE days.day < ${day}
    )
    SELECT place.id FROM days CROSS JOIN LATERAL (${devicesIn(seenOn(sql`days.day`), bounds)}) place WHERE days.day < ${day}`;
  if (time.getTime() % millisecondsPerDay === 0) return [daysBefore];
  return [daysBefore, devicesIn(sql`${seenOn(day)} AND d.last_seen_dt < ${time}`, bounds)];
};

const kindsOf = ({ kind, version }: DeviceConditions): readonly DeviceKind[] => {
  if (kind !== undefined) return [kind];
  return version === undefined ? DeviceKind.options : ['scooter'];
};

/** As the index of classes has it: 0 for a device without a version. */
const numberOf: Readonly<Record<NonNullable<DeviceConditions['version']>, number>> = { 1: 1, 2: 2, none: 0 };
const versionIs = (number: number) => sql`coalesce(d.version, 0) = ${number}`;

const everyClass = (['telematics', 'iot'] as const).flatMap((channel) => [
  ...[1, 2, 0].map((version) => ({ kind: 'scooter', version, channel }) as const),
  { kind: 'cabinet', version: 0, channel } as const,
]);

/** The places of the index of classes. */
const classesOf = ({ kind, version, channel }: DeviceConditions): RawBuilder<unknown>[] => {
  const kinds = kindsOf({ kind, version });
  return everyClass
    .filter(
      (c) => kinds.includes(c.kind) && (version === undefined || c.version === numberOf[version]) && (channel ?? c.channel) === c.channel,
    )
    .map((c) => sql`d.kind = ${c.kind} AND ${versionIs(c.version)} AND d.channel = ${c.channel}`);
};

const conditionsOf = (conditions: DeviceConditions): RawBuilder<unknown>[] => {
  const { kind, version, channel, runs_firmware_id, older_than_firmware_id, unknown_version, not_seen_since } = conditions;
  return [
    ...(kind ? [sql`d.kind = ${kind}`] : []),
    // A cabinet has none either.
    ...(version ? [sql`d.kind = 'scooter'`, versionIs(numberOf[version])] : []),
    ...(channel ? [sql`d.channel = ${channel}`] : []),
    ...(not_seen_since ? [sql`(d.last_seen_dt IS NULL OR d.last_seen_dt < ${not_seen_since})`] : []),
    ...(runs_firmware_id ? [runsAny(sql`x.firmware_id = ${runs_firmware_id}`)] : []),
    ...(unknown_version ? [runsAny(sql`x.hardware_type = ${unknown_version} AND x.firmware_id IS NULL`)] : []),
    ...(older_than_firmware_id ? [runsAny(isOlderThan(older_than_firmware_id))] : []),
  ];
};

const runsAny = (condition: RawBuilder<unknown>) => sql`EXISTS (SELECT FROM device_firmwares x WHERE x.device_id = d.id AND ${condition})`;

const isOlderThan = (firmwareId: number) => sql`
  EXISTS (
    SELECT FROM firmwares newer JOIN firmwares older ON older.hardware_type = newer.hardware_type
    WHERE newer.id = ${firmwareId} AND older.id = x.firmware_id AND older.version_num < newer.version_num
  )`;
