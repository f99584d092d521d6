import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { DeviceKind } from '../fleet/device.ts';
import { decodeIdCursor, listOf, type Page, toPage } from '../http/page.ts';
import { type ExecutionStatus, executionStatuses, type Phase } from './execution.ts';
import { findPlaces } from './place-queries.ts';
import { unsentTries } from './predicates.ts';
import type { DeviceExecution, Execution } from './shown-execution.ts';
import type { UpdateStatus } from './update-status.ts';
import { waitsFor } from './waits-for.ts';

/** A page of an update's executions has the beginning of what each device said: 500 of them have to fit into an answer. */
const listedDetailLength = 2_000;

const selectExecutions = (db: Db, detail: RawBuilder<string | null>) =>
  db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .innerJoin('updates as u', 'u.id', 'e.update_id')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .leftJoin('update_dispatches as c', 'c.id', 'e.dispatch_id')
    .innerJoin('backend_gate as g', (join) => join.onTrue())
    .select([
      'e.id',
      'e.update_id',
      'd.kind',
      'd.external_id',
      'e.status',
      'e.reason',
      detail.as('detail'),
      'e.is_canary',
      'e.queued_dt',
      'e.sent_dt',
      'e.finished_dt',
      'e.next_attempt_dt',
      'e.late_success_dt',
    ])
    .select([sql<number>`e.attempt - ${unsentTries}`.as('attempt'), sql<number>`e.retries - ${unsentTries}`.as('retries')])
    .select([
      'e.phase',
      'e.channel',
      'd.last_seen_dt',
      'u.status as update_status',
      'u.start_dt',
      'u.paused_dt',
      'u.due_dt',
      'c.released_dt',
      'f.status as firmware_status',
      sql<boolean>`u.canary IS NOT NULL AND u.canary_passed_dt IS NULL`.as('is_canary_open'),
      'g.failures as gate_failures',
      'g.closed_until as gate_closed_until',
    ])
    .$narrowType<{ status: ExecutionStatus; phase: Phase; update_status: UpdateStatus }>();

type ExecutionRow = Awaited<ReturnType<ReturnType<typeof selectExecutions>['executeTakeFirstOrThrow']>>;

/** Its facts are in what it waits for. */
const toExecution = <Row extends ExecutionRow>(row: Row, now: Date) => {
  const { phase, channel, last_seen_dt, update_status, start_dt, paused_dt, due_dt, ...others } = row;
  const { released_dt, firmware_status, is_canary_open, gate_failures, gate_closed_until, ...execution } = others;
  return { ...execution, waits_for: waitsFor(row, now) };
};

/** The executions of one device, with their places where they wait for the pace. */
const toExecutionsOfDevice = async <Row extends ExecutionRow>(db: Db, rows: readonly Row[], now: Date) => {
  const executions = rows.map((row) => toExecution(row, now));
  // In an open canary a place means nothing: who is of it was drawn by lot.
  const inTurn = executions.filter(({ waits_for }, i) => waits_for?.cause === 'PACE' && !rows[i]?.is_canary_open);
  const places = await findPlaces(
    db,
    inTurn.map(({ id }) => id),
    now,
  );
  return executions.map((execution) => {
    const place = places.get(execution.id) ?? null;
    return execution.waits_for ? { ...execution, waits_for: { ...execution.waits_for, place } } : execution;
  });
};

export interface ExecutionFilter {
  update_id: number;
  status?: ExecutionStatus | undefined;
  /** A reason, without the text after the colon that some have. */
  reason?: string | undefined;
  external_id?: string | undefined;
  is_canary?: boolean | undefined;
  limit: number;
  cursor?: string | undefined;
}

/**
 * The ids of a page. Of one device there is one in an update, all of whose devices are of one kind. Without a device: the first ones of each status, as the indexes
 * hold them, merged. So a page reads a few hundred entries of an index, however many executions the update and all others have, and no
 * index is needed that every change of an execution would have to write.
 */
const executionIdPage = (filter: ExecutionFilter, after: number, size: number) =>
  filter.external_id === undefined
    ? sql`
        SELECT page.id
        FROM unnest(${filter.status ? [filter.status] : executionStatuses}::text[]) AS wanted (status)
        CROSS JOIN LATERAL (
          SELECT e.id FROM update_executions e
          WHERE e.status = wanted.status AND ${isMeant(filter, after)}
          ORDER BY e.id
          LIMIT ${size}
        ) page
        ORDER BY page.id
        LIMIT ${size}`
    : sql`
        SELECT page.id
        FROM devices d
        CROSS JOIN LATERAL (
          SELECT e.id FROM update_executions e
          WHERE e.device_id = d.id AND ${filter.status ? sql`e.status = ${filter.status}` : sql`true`} AND ${isMeant(filter, after)}
          LIMIT 1
        ) page
        WHERE d.kind = ANY (${DeviceKind.options}::text[]) AND d.external_id = ${filter.external_id}
        LIMIT 1`;

const isMeant = ({ update_id, reason, is_canary }: ExecutionFilter, after: number) => {
  const conditions = [
    sql`e.update_id = ${update_id} AND e.id > ${after}`,
    ...(reason ? [sql`split_part(e.reason, ': ', 1) = ${reason} AND e.reason IS NOT NULL`] : []),
    // Not a parameter, or the index of canaries would be of no use.
    ...(is_canary === undefined ? [] : [is_canary ? sql`e.is_canary` : sql`NOT e.is_canary`]),
  ];
  return sql.join(conditions, sql` AND `);
};

/** In the order in which they were planned. */
export const listExecutions = async (db: Db, filter: ExecutionFilter, now: Date): Promise<Page<Execution>> => {
  const { limit, cursor, ...conditions } = filter;
  const list = listOf('executions', conditions);
  const after = decodeIdCursor(list, cursor) ?? 0;
  const rows = await selectExecutions(db, sql`nullif(left(e.detail, ${listedDetailLength}), '')`)
    .where(sql<boolean>`e.id IN (${executionIdPage(filter, after, limit + 1)})`)
    .orderBy('e.id')
    .execute();
  const { items, next_cursor } = toPage(list, rows, limit, (row) => [row.id]);
  const ofDevice = filter.external_id !== undefined;
  return { items: ofDevice ? await toExecutionsOfDevice(db, items, now) : items.map((row) => toExecution(row, now)), next_cursor };
};

export interface DeviceExecutionFilter {
  kind: DeviceKind;
  external_id: string;
  limit: number;
  cursor?: string | undefined;
}

/** A device's own past, the latest first. */
export const listDeviceExecutions = async (
  db: Db,
  { kind, external_id, limit, cursor }: DeviceExecutionFilter,
  now: Date,
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
  return { items: await toExecutionsOfDevice(db, items, now), next_cursor };
};
