import { type RawBuilder, sql } from 'kysely';
import { addSeconds } from '../clock.ts';
import type { DeviceFilter, Running } from './device-filter.ts';
import { none } from './word.ts';

/** The moment and the firmware for which a filter is evaluated. */
export interface FilterContext {
  now: Date;
  /** Samples are drawn anew for each firmware. Missing: there is no firmware, and the sample is always the same. */
  firmware_id?: number | undefined;
  /** Another condition about `devices d`, for looking at only some of all devices. */
  among?: RawBuilder<unknown>;
  /**
   * Whether others were looked at before. Then the lot alone decides who is in a sample: a device that is the only one of a part would otherwise
   * always be.
   */
  isPart?: boolean;
}

export const allOf = (conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown> =>
  conditions.length > 0 ? sql.join(conditions, sql` AND `) : sql`true`;

/** In the order of the index: by character codes, whatever the language of the database. */
export const externalId = sql`d.external_id COLLATE "C"`;
/** Comes after all characters that an external id may have. */
const afterEveryCharacter = '\u007f';
export const hasPrefix = (prefix: string) => sql`${externalId} >= ${prefix} AND ${externalId} < ${prefix + afterEveryCharacter}`;

/** A version as the index of classes holds it: 0 for a device without a version. */
export const numberOf = { 1: 1, 2: 2, [none]: 0 } as const satisfies Record<NonNullable<DeviceFilter['version']>, number>;
export const versionIs = (number: number) => sql`coalesce(d.version, 0) = ${number}`;

const secondsPerDay = 86_400;
const daysBefore = (now: Date, days: number) => addSeconds(now, -days * secondsPerDay);

type Conditions = {
  [Field in Exclude<keyof DeviceFilter, 'percentage'>]-?: (value: NonNullable<DeviceFilter[Field]>, now: Date) => RawBuilder<unknown>;
};

/** Every condition of a filter in SQL, about `devices d`: the only place that says what each means. */
const conditions: Conditions = {
  kind: (kind) => sql`d.kind = ${kind}`,
  external_id_prefix: hasPrefix,
  // A cabinet has no version either, so the kind has to be named, too.
  version: (version) => sql`d.kind = 'scooter' AND ${versionIs(numberOf[version])}`,
  channel: (channel) => sql`d.channel = ${channel}`,
  zone: (zone) => (zone === none ? sql`d.zone IS NULL` : sql`d.zone = ${zone}`),
  tags: ({ all, any, none: not }) =>
    allOf([
      // The condition of the index of tags.
      ...(all || any ? [sql`d.tags <> '{}'`] : []),
      ...(all ? [sql`d.tags @> ${all}::text[]`] : []),
      ...(any ? [sql`d.tags && ${any}::text[]`] : []),
      ...(not ? [sql`NOT d.tags && ${not}::text[]`] : []),
    ]),
  revision: (revision) => sql`d.revision = ${revision}`,
  running: (running) => runsAny(anyOf(rangesOfRunning(running))),
  not_running: (running) => sql`NOT ${runsAny(anyOf(rangesOfRunning(running)))}`,
  older_than_firmware_id: (firmware_id) =>
    // The hardware type would not be needed here, but with it a device has one row to look at instead of one for each of its types.
    runsAny(sql`r.hardware_type = (SELECT hardware_type FROM firmwares WHERE id = ${firmware_id}) AND EXISTS (
      SELECT FROM firmwares newer JOIN firmwares older ON older.hardware_type = newer.hardware_type
      WHERE newer.id = ${firmware_id} AND older.id = r.firmware_id AND older.version_num < newer.version_num
    )`),
  unknown_version: (hardware_type) => runsAny(unknownVersionOf(hardware_type)),
  not_seen_days: (days, now) => isNotSeenSince(daysBefore(now, days)),
  not_seen_since: (time) => isNotSeenSince(new Date(time)),
  retired: (retired) => (retired ? sql`d.retired_dt IS NOT NULL` : sql`d.retired_dt IS NULL`),
  failed_in_update_id: (id) => sql`EXISTS (
    SELECT FROM update_executions failed
    WHERE failed.update_id = ${id} AND failed.device_id = d.id AND failed.status IN ('FAILED', 'TIMED_OUT', 'REJECTED')
  )`,
};

const isNotSeenSince = (time: Date) => sql`(d.last_seen_dt IS NULL OR d.last_seen_dt < ${time}::timestamptz)`;

const anyOf = (conditions: readonly RawBuilder<unknown>[]) =>
  sql`(${sql.join(
    conditions.map((condition) => sql`(${condition})`),
    sql` OR `,
  )})`;
const runsAny = (condition: RawBuilder<unknown>) => sql`EXISTS (SELECT FROM device_firmwares r WHERE r.device_id = d.id AND ${condition})`;

/**
 * Conditions on `device_firmwares r` that find the devices that run a version; each is one range of an index. A version is found by its
 * firmware, or, while it is not in the catalogue or not linked yet, by its text.
 */
export const rangesOfRunning = (running: Running): RawBuilder<unknown>[] => {
  if ('firmware_id' in running) return [sql`r.firmware_id = ${running.firmware_id}`];
  const { hardware_type, version } = running;
  const isIt = sql`r.hardware_type = ${hardware_type} AND r.reported_version = ${version}`;
  return [
    // The text would not be needed here, but it tells the planner how many devices run the version.
    sql`${isIt} AND r.firmware_id = (
      SELECT f.id FROM firmwares f
      WHERE f.hardware_type = ${hardware_type} AND f.version = ${version} AND f.status IN ('available', 'lost', 'withdrawn')
    )`,
    sql`${isIt} AND r.firmware_id IS NULL`,
  ];
};

export const unknownVersionOf = (hardware_type: string) => sql`r.hardware_type = ${hardware_type} AND r.firmware_id IS NULL`;

/** The conditions of a filter, without its sample, about `devices d`. */
export const conditionsOf = ({ percentage: _, ...filter }: DeviceFilter, now: Date): RawBuilder<unknown>[] =>
  Object.entries(filter).flatMap(([field, value]) =>
    value === undefined ? [] : [(conditions[field as keyof Conditions] as (value: unknown, now: Date) => RawBuilder<unknown>)(value, now)],
  );

/**
 * A device's lot, which decides whether it is in a sample: 32 bits of an MD5, the same on every version of PostgreSQL. It depends on the
 * firmware, so that not always the same devices are the first.
 */
const lotOf = (firmware_id: number) =>
  sql`('x' || left(md5(${String(firmware_id)} || '.' || d.kind || '.' || d.external_id), 8))::bit(32)::bigint`;

/** So many lots are in a sample: there are 2^32. */
const lotsOf = (percentage: number) => sql`${Math.round((percentage / 100) * 2 ** 32)}::bigint`;

/** The rows of `devices` that a filter means. */
export const filteredDevices = (filter: DeviceFilter, context: FilterContext): RawBuilder<unknown> => {
  const { now, firmware_id = 0, among, isPart } = context;
  const matching = sql`FROM devices d WHERE ${allOf([...conditionsOf(filter, now), ...(among ? [among] : [])])}`;
  if (filter.percentage === undefined) return sql`SELECT d.* ${matching}`;
  if (isPart) return sql`SELECT d.* ${matching} AND ${lotOf(firmware_id)} < ${lotsOf(filter.percentage)}`;
  // A sample of p per cent has the devices whose lot is in the first p per cent, but at least the one with the lowest lot.
  return sql`
    SELECT *
    FROM (
      SELECT *, min(lot) OVER () AS lowest_lot
      FROM (SELECT d.*, ${lotOf(firmware_id)} AS lot ${matching}) drawn
    ) sampled
    WHERE lot < ${lotsOf(filter.percentage)} OR lot = lowest_lot`;
};
