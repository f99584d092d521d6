import { sql } from 'kysely';
import { addSeconds } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import type { FirmwareStatus } from '../firmware/firmware.ts';
import type { DeviceKind } from '../fleet/device.ts';
import type { MaintenanceWindow } from '../fleet/maintenance-window.ts';
import { firstStepDelaySeconds, isLate } from '../walk.ts';
import { noCounts } from './execution.ts';
import { countsOf, lateSuccessesOf } from './figure-queries.ts';
import type { StopRule } from './rules.ts';
import {
  type Approval,
  type CanaryPlan,
  type Counts,
  countEligible,
  type Eligibility,
  type ExponentialRate,
  progressOf,
  type Rollout,
  type UnknownVersion,
  type Update,
} from './update.ts';
import type { UpdateStatus } from './update-status.ts';

export interface NewUpdate {
  firmware_id: number;
  maximum_per_minute: number;
  maximum_in_progress: number | null;
  exponential: ExponentialRate | null;
  maximum_unavailable_percentage: number;
  window: MaintenanceWindow | null;
  ignore_window: boolean;
  abort: readonly StopRule[];
  queued_minutes: number;
  in_progress_minutes: number;
  number_of_retries: number;
  retry_failure_types: string[];
  start_dt: Date | null;
  allow_downgrade: boolean;
  force: boolean;
  unknown_version: UnknownVersion;
  comment: string;
  retry_of_update_id: number | null;
  idempotency_key: string | null;
  request_hash: string;
  request_id: string;
  created_by: string;
  created_dt: Date;
  /** null: no events are told of it. */
  told: string | null;
}

/** Answers the id; undefined when the caller has used this idempotency key before. Waits for a request under way with the same key. */
export const insertUpdate = async (trx: Trx, { exponential, abort, window, ...update }: NewUpdate): Promise<number | undefined> => {
  const row = await trx
    .insertInto('updates')
    .values({
      ...update,
      due_dt: addSeconds(update.created_dt, firstStepDelaySeconds),
      exponential: exponential && JSON.stringify(exponential),
      abort: JSON.stringify(abort),
      window: window && JSON.stringify(window),
      status: 'SCHEDULED',
    })
    .onConflict((oc) => oc.constraint('updates_created_by_idempotency_key_key').doNothing())
    .returning('id')
    .executeTakeFirst();
  return row?.id;
};

export type Planned = Partial<Record<Eligibility, number>>;

export interface Plan {
  planned: Planned;
  includes_iot: boolean;
  canary: CanaryPlan | null;
  needs_approval: boolean;
}

/** Stores how many of the chosen devices have each eligibility, the size of the canary, and whether the update has to be approved. */
export const setPlan = async (trx: Trx, id: number, { planned, canary, needs_approval, ...plan }: Plan): Promise<void> => {
  await trx
    .updateTable('updates')
    .set({
      ...{ ...plan, needs_approval, planned: JSON.stringify(planned), canary: canary && JSON.stringify(canary) },
      ...(needs_approval && { status: 'WAITING_FOR_APPROVAL' }),
    })
    .where('id', '=', id)
    .execute();
};

const selectUpdates = (db: Db) =>
  db
    .selectFrom('updates as u')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .select([
      'u.id',
      'u.firmware_id',
      'f.hardware_type',
      'f.version as firmware_version',
      'f.status as firmware_status',
      'u.status',
      'u.reason',
      sql<Planned>`u.planned`.as('planned'),
      'u.maximum_per_minute',
      'u.maximum_in_progress',
      sql<ExponentialRate | null>`u.exponential`.as('exponential'),
      'u.maximum_unavailable_percentage',
      sql<MaintenanceWindow | null>`u.window`.as('window'),
      'u.ignore_window',
      sql<CanaryPlan | null>`u.canary`.as('canary'),
      'u.canary_started_dt',
      'u.canary_passed_dt',
      sql<StopRule[]>`u.abort`.as('abort'),
      'u.queued_minutes',
      'u.in_progress_minutes',
      'u.number_of_retries',
      'u.retry_failure_types',
      'u.retry_of_update_id',
      'u.start_dt',
      'u.allow_downgrade',
      'u.force',
      'u.unknown_version',
      'u.needs_approval',
      'u.decision',
      'u.decided_by',
      'u.decided_dt',
      'u.decision_remark',
      'u.comment',
      'u.created_by',
      'u.request_id',
      'u.created_dt',
      'u.started_dt',
      'u.finished_dt',
      'u.executions_removed_dt',
      'u.due_dt',
    ])
    .$narrowType<{
      status: UpdateStatus;
      firmware_status: FirmwareStatus;
      unknown_version: UnknownVersion;
      decision: Approval['decision'];
    }>();

type UpdateRow = Awaited<ReturnType<ReturnType<typeof selectUpdates>['executeTakeFirstOrThrow']>>;

/** Updates with their counts, in one statement: the counts kept at the end, or counted now. */
export const selectCountedUpdates = (db: Db) =>
  selectUpdates(db).select([
    sql<Partial<Counts>>`coalesce(u.final_counts, ${countsOf(sql.ref('u.id'))})`.as('counts'),
    lateSuccessesOf(sql.ref('u.id')).as('late_successes'),
  ]);

export const toUpdate = (row: UpdateRow & { counts: Partial<Counts>; late_successes: number }, now: Date): Update => {
  const { planned, maximum_per_minute, maximum_in_progress, exponential, maximum_unavailable_percentage, due_dt, ...rest } = row;
  const { queued_minutes, in_progress_minutes, number_of_retries, retry_failure_types, ...decided } = rest;
  const { needs_approval, decision, decided_by, decided_dt, decision_remark, ...update } = decided;
  const { ELIGIBLE: _eligible, ELIGIBLE_UNKNOWN_VERSION: _unknown, ALREADY_ON_TARGET: _onTarget, ...not_eligible } = planned;
  const counts = { ...noCounts(), ...row.counts };
  return {
    ...update,
    counts,
    not_eligible,
    progress: progressOf(counts, planned.ALREADY_ON_TARGET),
    rollout: { maximum_per_minute, maximum_in_progress, exponential, maximum_unavailable_percentage },
    timeouts: { queued_minutes, in_progress_minutes },
    retry: { number_of_retries, failure_types: retry_failure_types },
    approval: needs_approval ? { decision, decided_by, decided_dt, remark: decision_remark } : null,
    walk: { due_dt, is_late: isLate(due_dt, now) },
  };
};

export const findUpdate = async (db: Db, id: number, now: Date): Promise<Update | undefined> => {
  const row = await selectCountedUpdates(db).where('u.id', '=', id).executeTakeFirst();
  return row && toUpdate(row, now);
};

/** Whether there is an update of this id. */
export const isUpdate = async (db: Db, id: number): Promise<boolean> =>
  (await db.selectFrom('updates').select('id').where('id', '=', id).executeTakeFirst()) !== undefined;

/** The update as it was when it was requested, whatever has happened since. */
export const getRequestedUpdate = async (db: Db, id: number): Promise<Update> => {
  const row = await selectUpdates(db).where('u.id', '=', id).executeTakeFirstOrThrow();
  const { ALREADY_ON_TARGET = 0 } = row.planned;
  const status = row.needs_approval ? 'WAITING_FOR_APPROVAL' : 'SCHEDULED';
  const asRequested = { status, reason: null, firmware_status: 'available' } as const;
  const notYet = {
    canary_started_dt: null,
    canary_passed_dt: null,
    decision: null,
    decided_by: null,
    decided_dt: null,
    decision_remark: null,
    started_dt: null,
    finished_dt: null,
    executions_removed_dt: null,
    late_successes: 0,
  };
  const due_dt = addSeconds(row.created_dt, firstStepDelaySeconds);
  return toUpdate(
    { ...row, ...asRequested, ...notYet, due_dt, counts: { QUEUED: countEligible(row.planned), SUCCEEDED: ALREADY_ON_TARGET } },
    due_dt,
  );
};

/** The row is the lock of an update: its walk and the admin's controls wait for each other here. */
export const lockUpdate = (trx: Trx, id: number) =>
  trx
    .selectFrom('updates as u')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .innerJoin('hardware_types as h', 'h.name', 'f.hardware_type')
    .select([
      'u.id',
      'u.firmware_id',
      'h.device_kind',
      'f.status as firmware_status',
      'u.status',
      'u.reason',
      sql<Planned>`u.planned`.as('planned'),
      'u.maximum_per_minute',
      'u.maximum_in_progress',
      sql<ExponentialRate | null>`u.exponential`.as('exponential'),
      'u.maximum_unavailable_percentage',
      sql<MaintenanceWindow | null>`u.window`.as('window'),
      'u.ignore_window',
      sql<CanaryPlan | null>`u.canary`.as('canary'),
      'u.canary_started_dt',
      'u.canary_passed_dt',
      sql<StopRule[]>`u.abort`.as('abort'),
      'u.queued_minutes',
      'u.in_progress_minutes',
      'u.number_of_retries',
      'u.retry_failure_types',
      'u.start_dt',
      'u.needs_approval',
      'u.decision',
      'u.created_by',
      'u.paused_dt',
      'u.paused_seconds',
      sql<Partial<Counts> | null>`u.resumed_counts`.as('resumed_counts'),
      'u.created_dt',
      'u.started_dt',
      'u.finished_dt',
      'u.cancels_all',
      'u.includes_iot',
      'u.next_step',
      'u.sent_step',
      'u.stepped_dt',
      'u.last_release_dt',
      sql<boolean>`EXISTS (SELECT FROM zones WHERE maintenance_window IS NOT NULL)`.as('has_zone_windows'),
      sql<boolean>`EXISTS (SELECT FROM zones WHERE maximum_unavailable_percentage < 100)`.as('has_zone_budgets'),
    ])
    .where('u.id', '=', id)
    .$narrowType<{ status: UpdateStatus; device_kind: DeviceKind }>()
    .forUpdate('u')
    .executeTakeFirst();

export type LockedUpdate = NonNullable<Awaited<ReturnType<typeof lockUpdate>>>;

export interface UpdateChange {
  status?: UpdateStatus;
  reason?: string | null;
  next_step?: number;
  stepped_dt?: Date;
  started_dt?: Date;
  finished_dt?: Date;
  due_dt?: Date | null;
  last_release_dt?: Date;
  canary_started_dt?: Date;
  canary_passed_dt?: Date;
  paused_dt?: Date | null;
  paused_seconds?: number;
  resumed_counts?: Counts;
  cancels_all?: boolean;
  decision?: 'APPROVED' | 'REJECTED';
  decided_by?: string;
  decided_dt?: Date;
  decision_remark?: string;
  rollout?: Rollout;
}

/** Only while the row is locked by {@link lockUpdate}. */
export const changeUpdate = async (trx: Trx, id: number, { rollout, resumed_counts, ...change }: UpdateChange): Promise<void> => {
  const pace = rollout && { ...rollout, exponential: rollout.exponential && JSON.stringify(rollout.exponential) };
  await trx
    .updateTable('updates')
    .set({ ...change, ...pace, ...(resumed_counts && { resumed_counts: JSON.stringify(resumed_counts) }) })
    .where('id', '=', id)
    .execute();
};

/** Notes that the message of a step is sent, so that a repetition of the step before does not send another. */
export const markStepSent = async (db: Db, id: number, step: number): Promise<void> => {
  await db.updateTable('updates').set({ sent_step: step }).where('id', '=', id).where('sent_step', '<', step).execute();
};

/** An ended update's settings, for trying its failures again. */
export const findRetryable = async (db: Db, id: number, now: Date): Promise<(Update & { kind: DeviceKind }) | undefined> => {
  const update = await findUpdate(db, id, now);
  if (!update) return undefined;
  const { device_kind } = await db
    .selectFrom('hardware_types')
    .select('device_kind')
    .where('name', '=', update.hardware_type)
    .$narrowType<{ device_kind: DeviceKind }>()
    .executeTakeFirstOrThrow();
  return { ...update, kind: device_kind };
};

/** Whether the executions of an update are no longer kept. In a transaction: their removal does not begin before it has ended. */
export const areExecutionsRemoved = async (db: Db, id: number): Promise<boolean> => {
  const row = await db.selectFrom('updates').select('executions_removed_dt').where('id', '=', id).forShare().executeTakeFirst();
  return row?.executions_removed_dt != null;
};
