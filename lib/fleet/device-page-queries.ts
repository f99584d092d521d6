import { type RawBuilder, sql } from 'kysely';
import { addSeconds } from '../clock.ts';
import { comesAfter, type Direction, inOrder } from '../db/keyset.ts';
import { DeviceKind } from './device.ts';
import type { DeviceFilter } from './device-filter.ts';
import {
  allOf,
  conditionsOf,
  externalId,
  filteredDevices,
  numberOf,
  rangesOfRunning,
  unknownVersionOf,
  versionIs,
} from './device-filter-queries.ts';
import { none } from './word.ts';

/**
 * The ids of a page of devices. Every page of a fleet of millions costs as much as the first one: an index holds the devices of a condition in
 * the order of their ids; the page starts in it where the last one ended, and stops when it is full. If a condition means several ranges of an
 * index, a whole page is read from each of them, and the lowest ids of all these are the page.
 *
 * Of several conditions, the one that most likely means the fewest devices is looked up in this way, and its devices are tested for the others
 * one by one. So if hardly any device fulfils all conditions, a page reads all devices of that one condition. The same holds for a tag, because
 * its index has no order, and for a sample, because it is drawn from all devices.
 */
export const deviceIdPage = (filter: DeviceFilter, bounds: Bounds<[id: number]>): RawBuilder<unknown> => sql`
  SELECT id FROM (${candidates(filter, bounds)}) candidates ORDER BY ${inOrder([sql`id`], bounds.direction)} LIMIT ${bounds.size}`;

/**
 * The same in the order of external ids, which have an index; those that begin alike stand side by side in it. Each device is asked about
 * the other conditions, until the page is full. Ids of scooters and cabinets may be the same.
 */
export const deviceIdPageByExternalId = (filter: DeviceFilter, bounds: Bounds<[external_id: string, id: number]>): RawBuilder<unknown> =>
  pageAlong(externalIdOrder, filter, bounds);
export const externalIdOrder = [externalId, sql`d.id`];

/**
 * The same in the order of the days on which the devices were last seen, those that never were first. The index has a range for each kind
 * of device, which gives as many as a whole page.
 */
export const deviceIdPageByLastSeen = (filter: DeviceFilter, bounds: Bounds<[last_seen_on: string, id: number]>): RawBuilder<unknown> => {
  // A sample is drawn from the devices of all kinds together.
  const filters = filter.percentage === undefined ? kindsOf(filter).map((kind) => ({ ...filter, kind })) : [filter];
  return sql`
    SELECT d.id FROM (${unionOf(filters.map((each) => pageAlong(lastSeenIndex, each, bounds, sql`d.id, d.last_seen_on`)))}) d
    ORDER BY ${inOrder(lastSeenOrder, bounds.direction)}
    LIMIT ${bounds.size}`;
};
export const lastSeenOrder = [sql`d.last_seen_on`, sql`d.id`];
const lastSeenIndex = [sql`d.last_seen_on`, sql`d.id + 0`];

export interface Bounds<Key extends readonly unknown[]> {
  /** The sort key of the last device of the page before. */
  after: Key | undefined;
  direction: Direction;
  size: number;
  now: Date;
}
type IdBounds = Bounds<[id: number]>;

const pageAlong = (
  columns: readonly RawBuilder<unknown>[],
  filter: DeviceFilter,
  { after, direction, size, now }: Bounds<readonly unknown[]>,
  selected = sql`d.id`,
) => sql`
  SELECT ${selected}
  FROM ${filter.percentage === undefined ? sql`devices` : sql`(${filteredDevices(filter, { now })})`} d
  WHERE ${allOf([comesAfter(columns, direction, after), ...conditionsOf(filter, now)])}
  ORDER BY ${inOrder(columns, direction)}
  LIMIT ${size}`;

/** Conditions about what devices run, as ranges of an index of device_firmwares. */
const installed = ({
  running,
  unknown_version,
}: DeviceFilter): { ranges: RawBuilder<unknown>[]; field: keyof DeviceFilter } | undefined => {
  if (running) return { ranges: rangesOfRunning(running), field: 'running' };
  if (unknown_version !== undefined) return { ranges: [unknownVersionOf(unknown_version)], field: 'unknown_version' };
  return undefined;
};

const candidates = (filter: DeviceFilter, bounds: IdBounds): RawBuilder<unknown> => {
  if (filter.percentage !== undefined) {
    return sql`SELECT id FROM (${filteredDevices(filter, { now: bounds.now })}) sample WHERE ${comesAfter([sql`id`], bounds.direction, bounds.after)}`;
  }
  const found = installed(filter);
  if (found) {
    const others = { ...filter, [found.field]: undefined };
    return unionOf(found.ranges.map((range) => installedIn(range, others, bounds)));
  }
  const { older_than_firmware_id, not_seen_since, not_seen_days, zone, tags, revision, ...ofClass } = filter;
  if (older_than_firmware_id !== undefined) {
    return sql`
      SELECT found.id
      FROM firmwares newer
      JOIN firmwares older ON older.hardware_type = newer.hardware_type AND older.version_num < newer.version_num
      CROSS JOIN LATERAL (${installedIn(sql`r.firmware_id = older.id`, { ...filter, older_than_firmware_id: undefined }, bounds)}) found
      WHERE newer.id = ${older_than_firmware_id}`;
  }
  if (revision !== undefined || tags !== undefined || (zone !== undefined && zone !== none)) {
    return devicesIn(allOf(conditionsOf(filter, bounds.now)), bounds);
  }
  const time = earliest(
    not_seen_since === undefined ? undefined : new Date(not_seen_since),
    not_seen_days === undefined ? undefined : addSeconds(bounds.now, -not_seen_days * 86_400),
  );
  const others = { ...ofClass, zone };
  if (time !== undefined) return unionOf(kindsOf(ofClass).flatMap((kind) => lastSeenBefore(time, { ...others, kind }, bounds)));
  const classes = classesOf(ofClass);
  if (Object.values(others).every((value) => value === undefined)) return allDevices(bounds);
  const { kind: _kind, version: _version, channel: _channel, ...further } = others;
  return unionOf(classes.map((deviceClass) => devicesIn(allOf([deviceClass, ...conditionsOf(further, bounds.now)]), bounds)));
};

const earliest = (...times: (Date | undefined)[]): Date | undefined => {
  const known = times.flatMap((time) => time ?? []);
  return known.length > 0 ? new Date(Math.min(...known.map(Number))) : undefined;
};

const unionOf = (parts: readonly RawBuilder<unknown>[]) =>
  sql.join(
    parts.map((part) => sql`(${part})`),
    sql` UNION ALL `,
  );

/** One range of an index of device_firmwares. Its devices are tested for the other conditions one by one, in a subquery. */
const installedIn = (range: RawBuilder<unknown>, others: DeviceFilter, { after, direction, size, now }: IdBounds): RawBuilder<unknown> => {
  const id = [sql`r.device_id + 0`];
  const conditions = conditionsOf(others, now);
  const isMeant = conditions.length > 0 ? sql`AND (SELECT ${allOf(conditions)} FROM devices d WHERE d.id = r.device_id)` : sql``;
  return sql`
    SELECT r.device_id AS id
    FROM device_firmwares r
    WHERE ${range} AND ${comesAfter(id, direction, after)} ${isMeant}
    ORDER BY ${inOrder(id, direction)}
    LIMIT ${size}`;
};

/** One range of an index of devices. */
const devicesIn = (range: RawBuilder<unknown>, bounds: IdBounds): RawBuilder<unknown> => alongIds(sql`d.id + 0`, range, bounds);

const allDevices = (bounds: IdBounds) => alongIds(sql`d.id`, sql`true`, bounds);

const alongIds = (id: RawBuilder<unknown>, range: RawBuilder<unknown>, { after, direction, size }: IdBounds) => sql`
  SELECT d.id FROM devices d
  WHERE ${range} AND ${comesAfter([id], direction, after)}
  ORDER BY ${inOrder([id], direction)}
  LIMIT ${size}`;

const millisecondsPerDay = 86_400_000;

/**
 * One range for every day on which any device of the kind was last seen; the days are found by asking the index for the next day again and
 * again. If the time is in the middle of a day, the devices last seen on that day are one more range, and only some of them are meant.
 */
const lastSeenBefore = (time: Date, ofClass: DeviceFilter & { kind: DeviceKind }, bounds: IdBounds): RawBuilder<unknown>[] => {
  const day = sql`(${time}::timestamptz AT TIME ZONE 'UTC')::date`;
  const seenOn = (day: RawBuilder<unknown>) => allOf([...conditionsOf(ofClass, bounds.now), sql`d.last_seen_on = ${day}`]);
  const firstDay = (condition: RawBuilder<unknown>) => sql`
    SELECT d.last_seen_on FROM devices d WHERE d.kind = ${ofClass.kind} AND ${condition} ORDER BY d.last_seen_on LIMIT 1`;
  const daysBefore = sql`
    WITH RECURSIVE days (day) AS (
      (${firstDay(sql`true`)})
      UNION ALL
      SELECT (${firstDay(sql`d.last_seen_on > days.day`)}) FROM days WHERE days.day < ${day}
    )
    SELECT found.id FROM days CROSS JOIN LATERAL (${devicesIn(seenOn(sql`days.day`), bounds)}) found WHERE days.day < ${day}`;
  if (time.getTime() % millisecondsPerDay === 0) return [daysBefore];
  return [daysBefore, devicesIn(sql`${seenOn(day)} AND d.last_seen_dt < ${time}`, bounds)];
};

const kindsOf = ({ kind, version }: DeviceFilter): readonly DeviceKind[] => {
  if (kind !== undefined) return [kind];
  return version === undefined ? DeviceKind.options : ['scooter'];
};

const everyClass = (['telematics', 'iot'] as const).flatMap((channel) => [
  ...[1, 2, 0].map((version) => ({ kind: 'scooter', version, channel }) as const),
  { kind: 'cabinet', version: 0, channel } as const,
]);

/** The ranges of the index of classes. */
const classesOf = ({ kind, version, channel }: DeviceFilter): RawBuilder<unknown>[] => {
  const kinds = kindsOf({ kind, version });
  return everyClass
    .filter(
      (c) => kinds.includes(c.kind) && (version === undefined || c.version === numberOf[version]) && (channel ?? c.channel) === c.channel,
    )
    .map((c) => sql`d.kind = ${c.kind} AND ${versionIs(c.version)} AND d.channel = ${c.channel}`);
};
