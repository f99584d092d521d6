import { type RawBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import type { Db } from '../db/database.ts';
import { comesAfter, type Direction, directionOf, fieldOf, inOrder } from '../db/keyset.ts';
import { DeviceKind } from '../fleet/device.ts';
import type { MaintenanceWindow } from '../fleet/maintenance-window.ts';
import { decodeCursor, decodeIdCursor, listOf, type Page, toPage } from '../http/page.ts';
import { listPlaces } from './budget-queries.ts';
import { type ExecutionStatus, executionStatuses, isUnfinished, type Phase } from './execution.ts';
import type { AliveTimes } from './offer-times.ts';
import { findPlaces } from './place-queries.ts';
import { unsentTries } from './predicates.ts';
import type { DeviceExecution, Execution } from './shown-execution.ts';
import type { UpdateStatus } from './update-status.ts';
import { type WaitsFor, waitsFor } from './waits-for.ts';
import { type Opening, openingsOf } from './zone-rules.ts';

/** A page of executions shows only the beginning of what each device said: up to 500 of them have to fit into one answer. */
const listedDetailLength = 2_000;

const shownColumns = [
  ...(['e.id', 'e.update_id', 'd.kind', 'd.external_id', 'e.status', 'e.reason', 'e.is_canary'] as const),
  ...(['e.queued_dt', 'e.sent_dt', 'e.finished_dt', 'e.next_attempt_dt', 'e.late_success_dt'] as const),
] as const;

/** What {@link waitsFor} needs, beside the columns that are shown. */
const waitingColumns = [
  ...(['e.phase', 'e.channel', 'e.is_unanswered', 'e.zone', 'd.last_seen_dt', 'c.released_dt', 'f.status as firmware_status'] as const),
  ...(['u.status as update_status', 'u.start_dt', 'u.paused_dt', 'u.due_dt', 'u.ignore_window', 'z.time_zone'] as const),
  ...(['g.failures as gate_failures', 'g.closed_until as gate_closed_until'] as const),
] as const;

const selectExecutions = (db: Db, detail: RawBuilder<string | null>) =>
  db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .innerJoin('updates as u', 'u.id', 'e.update_id')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .leftJoin('update_dispatches as c', 'c.id', 'e.dispatch_id')
    .leftJoin('zones as z', 'z.name', 'e.zone')
    .innerJoin('backend_gate as g', (join) => join.onTrue())
    .select([...shownColumns, detail.as('detail')])
    .select([sql<number>`e.attempt - ${unsentTries}`.as('attempt'), sql<number>`e.retries - ${unsentTries}`.as('retries')])
    .select([
      ...waitingColumns,
      sql<boolean>`u.canary IS NOT NULL AND u.canary_passed_dt IS NULL`.as('is_canary_open'),
      sql<MaintenanceWindow | null>`z.maintenance_window`.as('maintenance_window'),
      sql<MaintenanceWindow | null>`u.window`.as('window'),
      sql<number>`least(u.maximum_unavailable_percentage, z.maximum_unavailable_percentage)`.as('percentage'),
    ])
    .$narrowType<{ kind: DeviceKind; status: ExecutionStatus; phase: Phase; update_status: UpdateStatus }>();

type ExecutionRow = Awaited<ReturnType<ReturnType<typeof selectExecutions>['executeTakeFirstOrThrow']>>;

/** The API's execution: the columns that only say what it waits for become `waits_for`. */
const toExecution = <Row extends ExecutionRow>(row: Row, waits_for: WaitsFor | null) => {
  const { phase, channel, last_seen_dt, update_status, start_dt, paused_dt, due_dt, released_dt, is_unanswered, zone, ...others } = row;
  const { firmware_status, is_canary_open, gate_failures, gate_closed_until, time_zone, maintenance_window, ...rest } = others;
  const { window, ignore_window, percentage, ...execution } = rest;
  return { ...execution, waits_for };
};

/** Executions of one kind of devices. */
const toExecutions = async <Row extends ExecutionRow>(db: Db, rows: readonly Row[], now: Date, times: AliveTimes) => {
  const waits = await findWaits(db, rows, now, times);
  return rows.map((row, i) => toExecution(row, waits[i] ?? null));
};

/** What each execution waits for. The budget is read only for executions that nothing else holds back. */
const findWaits = async (db: Db, rows: readonly ExecutionRow[], now: Date, times: AliveTimes): Promise<(WaitsFor | null)[]> => {
  const openings = openingsOf(rows, now);
  const facts = rows.map((row, i) => ({ ...row, opening: openings[i] as Opening, is_budget_full: false }));
  const waits = facts.map((each) => waitsFor(each, now, times));
  const inTurn = facts.filter(({ is_unanswered }, i) => waits[i]?.cause === 'PACE' && !is_unanswered);
  const [first] = inTurn;
  if (!first) return waits;
  const places = await listPlaces(db, first.kind, inTurn);
  const full = new Set(inTurn.filter((_, i) => places[i] === 0));
  return waits.map((wait, i) => {
    const each = facts[i];
    return each && full.has(each) ? waitsFor({ ...each, is_budget_full: true }, now, times) : wait;
  });
};

/** The executions of one device. Those that wait for the pace get their place in the queue. */
const toExecutionsOfDevice = async <Row extends ExecutionRow>(db: Db, rows: readonly Row[], now: Date, times: AliveTimes) => {
  const executions = await toExecutions(db, rows, now, times);
  // While the canary is open a place means nothing, because the canary's devices are drawn by lot.
  const inTurn = executions.filter(({ waits_for }, i) => waits_for?.cause === 'PACE' && !rows[i]?.is_canary_open);
  const places = await findPlaces(
    db,
    inTurn.map(({ id }) => id),
    now,
    times,
  );
  return executions.map((execution) => {
    const place = places.get(execution.id) ?? null;
    return execution.waits_for ? { ...execution, waits_for: { ...execution.waits_for, place } } : execution;
  });
};

/** The orders in which the executions of an update can be listed; each has an index. */
export const executionSorts = ['id_ascending', 'id_descending', 'finished_dt_descending', 'finished_dt_ascending'] as const;

export interface ExecutionFilter {
  update_id: number;
  status?: ExecutionStatus | undefined;
  /** A reason without its text: some reasons have a text after a colon. */
  reason?: string | undefined;
  external_id?: string | undefined;
  is_canary?: boolean | undefined;
  sort?: (typeof executionSorts)[number] | undefined;
  limit: number;
  cursor?: string | undefined;
}

interface Bounds<Key extends readonly unknown[]> {
  /** The sort key of the last execution of the page before. */
  after: Key | undefined;
  direction: Direction;
  size: number;
}

/**
 * The first ids of each of these statuses in the order of some columns, which the indexes hold in that order; the caller merges them. So a
 * page reads a few hundred index entries, however many executions there are. `ofIndex` is the condition of a partial index.
 */
const idsAlong = (
  columns: readonly RawBuilder<unknown>[],
  statuses: readonly ExecutionStatus[],
  filter: ExecutionFilter,
  { after, direction, size, ofIndex = sql`true` }: Bounds<readonly unknown[]> & { ofIndex?: RawBuilder<unknown> },
) => sql`
  SELECT page.id, page.finished_dt
  FROM unnest(${filter.status ? statuses.filter((status) => status === filter.status) : statuses}::text[]) AS wanted (status)
  CROSS JOIN LATERAL (
    SELECT e.id, e.finished_dt FROM ${sourceOf(filter)} e
    WHERE e.status = wanted.status AND ${ofIndex} AND ${isMeant(filter)} AND ${comesAfter(columns, direction, after)}
    ORDER BY ${inOrder(columns, direction)}
    LIMIT ${size}
  ) page`;

const unfinishedStatuses = executionStatuses.filter(isUnfinished);
const endedStatuses = executionStatuses.filter((status) => !isUnfinished(status));

const byId = [sql`e.id`];
const byEnd = [sql`e.finished_dt`, sql`e.id`];
type End = [finished_dt: string | null, id: number];

const idPage = (filter: ExecutionFilter, bounds: Bounds<[id: number]>) => sql`
  SELECT e.id FROM (${idsAlong(byId, executionStatuses, filter, bounds)}) e
  ORDER BY ${inOrder(byId, bounds.direction)}
  LIMIT ${bounds.size}`;

/** In both directions, executions that have not ended come after all others, in the order of their ids. */
const idPageByEnd = (filter: ExecutionFilter, { after, ...bounds }: Bounds<End>) => {
  const hasEnded = after === undefined || after[0] !== null;
  const ended = idsAlong(byEnd, endedStatuses, filter, { ...bounds, after, ofIndex: sql`e.finished_dt IS NOT NULL` });
  const unfinished = idsAlong(byId, unfinishedStatuses, filter, { ...bounds, after: hasEnded ? undefined : [after[1]] });
  return sql`
    SELECT e.id FROM (${hasEnded ? sql`${ended} UNION ALL ${unfinished}` : unfinished}) e
    ORDER BY e.finished_dt IS NULL, ${inOrder(byEnd, bounds.direction)}
    LIMIT ${bounds.size}`;
};

/** Where a page is taken from. Those of one device are few, more than one only in a continuous update; they are found by the device. */
const sourceOf = ({ external_id }: ExecutionFilter) => (external_id === undefined ? sql`update_executions` : sql`of_device`);
const ofDevice = ({ update_id, external_id }: ExecutionFilter) =>
  external_id === undefined
    ? sql``
    : sql`
      WITH of_device AS MATERIALIZED (
        SELECT e.* FROM devices d JOIN update_executions e ON e.device_id = d.id AND e.update_id = ${update_id}
        WHERE d.kind = ANY (${DeviceKind.options}::text[]) AND d.external_id = ${external_id}
      )`;

const isMeant = ({ update_id, reason, is_canary }: ExecutionFilter) => {
  const conditions = [
    sql`e.update_id = ${update_id}`,
    ...(reason ? [sql`split_part(e.reason, ': ', 1) = ${reason} AND e.reason IS NOT NULL`] : []),
    // Not a parameter: with one, PostgreSQL could not use the partial index of canaries.
    ...(is_canary === undefined ? [] : [is_canary ? sql`e.is_canary` : sql`NOT e.is_canary`]),
  ];
  return sql.join(conditions, sql` AND `);
};

const Id = z.int32();
const EndCursor = z.tuple([z.nullable(z.iso.datetime()), Id]);

/** In the order in which they were planned, unless another is wanted. */
export const listExecutions = async (db: Db, filter: ExecutionFilter, now: Date, times: AliveTimes): Promise<Page<Execution>> => {
  const { limit, cursor, ...conditions } = filter;
  const { sort = 'id_ascending' } = filter;
  const direction = directionOf(sort);
  const list = listOf('executions', conditions);
  const isByEnd = fieldOf(sort) === 'finished_dt';
  const ids = isByEnd
    ? idPageByEnd(filter, { after: decodeCursor(list, EndCursor, cursor), direction, size: limit + 1 })
    : idPage(filter, { after: decodeCursor(list, z.tuple([Id]), cursor), direction, size: limit + 1 });
  const rows = await selectExecutions(db, sql`nullif(left(e.detail, ${listedDetailLength}), '')`)
    .where(sql<boolean>`e.id IN (${ofDevice(filter)} ${ids})`)
    .orderBy(isByEnd ? sql`e.finished_dt IS NULL, ${inOrder(byEnd, direction)}` : inOrder(byId, direction))
    .execute();
  const keyOf = ({ finished_dt, id }: (typeof rows)[number]) => (isByEnd ? [finished_dt, id] : [id]);
  const { items, next_cursor } = toPage(list, rows, limit, keyOf);
  const toShown = filter.external_id === undefined ? toExecutions : toExecutionsOfDevice;
  return { items: await toShown(db, items, now, times), next_cursor };
};

export interface DeviceExecutionFilter {
  kind: DeviceKind;
  external_id: string;
  limit: number;
  cursor?: string | undefined;
}

/** The executions of one device, the latest first. */
export const listDeviceExecutions = async (
  db: Db,
  { kind, external_id, limit, cursor }: DeviceExecutionFilter,
  now: Date,
  times: AliveTimes,
): Promise<Page<DeviceExecution>> => {
  const list = listOf('executions of a device', { kind, external_id });
  const before = decodeIdCursor(list, cursor);
  let query = selectExecutions(db, sql`nullif(e.detail, '')`)
    .select(['e.hardware_type', 'f.id as firmware_id', 'f.version as firmware_version'])
    .where('d.kind', '=', kind)
    .where('d.external_id', '=', external_id);
  if (before !== undefined) query = query.where('e.id', '<', before);
  const rows = await query
    .orderBy('e.id', 'desc')
    .limit(limit + 1)
    .execute();
  const { items, next_cursor } = toPage(list, rows, limit, (row) => [row.id]);
  return { items: await toExecutionsOfDevice(db, items, now, times), next_cursor };
};
