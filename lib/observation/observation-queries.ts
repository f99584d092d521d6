import { type SelectQueryBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import type { Db, Trx } from '../db/database.ts';
import type { DB } from '../db/schema.ts';
import type { DeviceKind } from '../fleet/device.ts';
import { filteredDevices } from '../fleet/device-filter-queries.ts';
import { decodeCursor, decodeIdCursor, listOf, type Page, toPage } from '../http/page.ts';
import { isLate } from '../walk.ts';
import type { Observation, ObservationFilter, ObservationStatus, ObservedChange } from './observation.ts';

export interface NewObservation {
  kind: DeviceKind | null;
  external_ids: string[] | null;
  filter: ObservationFilter | null;
  devices_total: number | null;
  add_unknown: boolean;
  maximum_per_minute: number;
  comment: string;
  idempotency_key: string | null;
  request_hash: string;
  request_id: string;
  created_by: string;
  created_dt: Date;
}

/** Undefined when the caller has used this idempotency key before: waits for a request under way with the same key. */
export const insertObservation = (trx: Trx, { filter, ...observation }: NewObservation) =>
  trx
    .insertInto('observations')
    .values({ ...observation, filter: filter && JSON.stringify(filter), status: 'IN_PROGRESS', due_dt: observation.created_dt })
    .onConflict((oc) => oc.constraint('observations_created_by_idempotency_key_key').doNothing())
    .returning('id')
    .executeTakeFirst();

const columns = [
  'id',
  'status',
  'filter',
  'add_unknown',
  'maximum_per_minute',
  'devices_total',
  'devices_asked',
  'devices_answered',
  'devices_unknown',
  'devices_added',
  'devices_not_registered',
  'devices_refused',
  'reports_stored',
  'reports_unchanged',
  'reports_outdated',
  'reports_refused',
  'failures',
  'last_error',
  'last_error_dt',
  'due_dt',
  'comment',
  'created_by',
  'request_id',
  'created_dt',
  'started_dt',
  'finished_dt',
] as const;

const selectObservations = (db: Db) =>
  db.selectFrom('observations').select(columns).$narrowType<{ status: ObservationStatus; filter: ObservationFilter | null }>();

type ObservationRow = Omit<Observation, 'progress' | 'is_late'>;

const toObservation = (row: ObservationRow, now: Date): Observation => ({
  ...row,
  progress: progressOf(row),
  is_late: isLate(row.due_dt, now),
});

/** Never above 1: devices that are registered during the walk are asked, too, so more devices may be asked than were counted at first. */
const progressOf = ({ status, devices_total, devices_asked }: ObservationRow): number | null => {
  if (status === 'COMPLETED') return 1;
  if (devices_total === null) return null;
  return devices_total === 0 ? 0 : Math.min(1, devices_asked / devices_total);
};

export const findObservation = async (db: Db, id: number, now: Date): Promise<Observation | undefined> => {
  const row = await selectObservations(db).where('id', '=', id).executeTakeFirst();
  return row && toObservation(row, now);
};

const untouched = {
  status: 'IN_PROGRESS',
  devices_asked: 0,
  devices_answered: 0,
  devices_unknown: 0,
  devices_refused: 0,
  devices_added: 0,
  devices_not_registered: 0,
  reports_stored: 0,
  reports_unchanged: 0,
  reports_outdated: 0,
  reports_refused: 0,
  failures: 0,
  last_error: null,
  last_error_dt: null,
  started_dt: null,
  finished_dt: null,
} as const satisfies Partial<Observation>;

/** The observation as it was when it was requested, whatever has happened since. */
export const getRequestedObservation = async (db: Db, id: number): Promise<Observation> => {
  const row = await selectObservations(db).where('id', '=', id).executeTakeFirstOrThrow();
  const devices_total = row.filter && row.add_unknown ? null : row.devices_total;
  return toObservation({ ...row, ...untouched, devices_total, due_dt: row.created_dt }, row.created_dt);
};

/** An observation that this caller has requested, that has not ended and was due after `dueAfter`. */
export const findObservationUnderWay = (db: Db, created_by: string, dueAfter: Date) =>
  db
    .selectFrom('observations')
    .select('id')
    .where('created_by', '=', created_by)
    .where('status', '=', 'IN_PROGRESS')
    .where('due_dt', '>', dueAfter)
    .orderBy('id', 'desc')
    .executeTakeFirst();

export interface ObservationListFilter {
  status?: ObservationStatus | undefined;
  limit: number;
  cursor?: string | undefined;
}

/** The latest request first. */
export const listObservations = async (db: Db, { status, limit, cursor }: ObservationListFilter, now: Date): Promise<Page<Observation>> => {
  const list = listOf('observations', { status });
  const before = decodeIdCursor(list, cursor);
  let query: SelectQueryBuilder<DB, 'observations', ObservationRow> = selectObservations(db);
  if (status) query = query.where('status', '=', status);
  if (before !== undefined) query = query.where('id', '<', before);
  const rows = await query
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  const { items, next_cursor } = toPage(list, rows, limit, (row) => [row.id]);
  return { items: items.map((row) => toObservation(row, now)), next_cursor };
};

export interface ChangeFilter {
  limit: number;
  cursor?: string | undefined;
}

/** What an observation has changed, in the order in which it was learned. */
export const listChanges = async (db: Db, id: number, { limit, cursor }: ChangeFilter): Promise<Page<ObservedChange>> => {
  const list = listOf('observed changes', { id });
  const after = decodeCursor(list, z.tuple([z.int().check(z.minimum(0))]), cursor);
  const { rows } = await sql<ObservedChange & { id: number }>`
    SELECT h.id, d.kind, d.external_id, h.hardware_type, before.reported_version AS from_version, h.reported_version AS to_version,
           h.observed_dt
    FROM device_firmware_history h
    JOIN devices d ON d.id = h.device_id
    LEFT JOIN LATERAL (
      SELECT reported_version FROM device_firmware_history
      WHERE device_id = h.device_id AND hardware_type = h.hardware_type AND id < h.id
      ORDER BY id DESC LIMIT 1
    ) before ON true
    WHERE h.observation_id = ${id} AND h.id > ${after?.[0] ?? 0}
    ORDER BY h.id
    LIMIT ${limit + 1}`.execute(db);
  const { items, next_cursor } = toPage(list, rows, limit, (row) => [row.id]);
  return { items: items.map(({ id: _id, ...change }) => change), next_cursor };
};

export const countFilteredDevices = async (db: Db, filter: ObservationFilter, now: Date): Promise<number> => {
  const { rows } = await sql<{ n: number }>`SELECT count(*) AS n FROM (${filteredDevices(inService(filter), { now })}) d`.execute(db);
  return rows[0]?.n ?? 0;
};

const inService = (filter: ObservationFilter): ObservationFilter => ({ retired: false, ...filter });

export interface ChosenDevice {
  kind: DeviceKind;
  external_id: string;
  /** Grows from device to device; the next chunk begins after the last one's. */
  position: number;
}

/** Devices that a filter means; their position is their id. */
export const listFilteredDevices = async (
  db: Db,
  filter: ObservationFilter,
  { after, limit, now }: { after: number; limit: number; now: Date },
): Promise<ChosenDevice[]> => {
  const { rows } = await sql<ChosenDevice>`
    SELECT d.kind, d.external_id, d.id AS position
    FROM (${filteredDevices(inService(filter), { now })}) d
    WHERE d.id > ${after}
    ORDER BY d.id
    LIMIT ${limit}`.execute(db);
  return rows;
};

/** Devices that the request named, in its order. */
export const listNamedDevices = async (db: Db, id: number, { after, limit }: { after: number; limit: number }): Promise<ChosenDevice[]> => {
  const { rows } = await sql<ChosenDevice>`
    SELECT o.kind, d.external_id, ${after}::integer + d.ordinal AS position
    FROM observations o, unnest(o.external_ids[${after + 1}:${after + limit}]) WITH ORDINALITY AS d (external_id, ordinal)
    WHERE o.id = ${id}
    ORDER BY d.ordinal`.execute(db);
  return rows;
};
