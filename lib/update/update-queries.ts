import { sql } from 'kysely';
import { addSeconds } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import type { FirmwareStatus } from '../firmware/firmware.ts';
import { revisionsOf } from '../firmware/revision-queries.ts';
import type { DeviceKind } from '../fleet/device.ts';
import type { MaintenanceWindow } from '../fleet/maintenance-window.ts';
import { firstStepDelaySeconds } from '../walk.ts';
import type { ExponentialRate, Rollout } from './rollout.ts';
import type { StopRule, UnknownVersion } from './rules.ts';
import type { Approval, CanaryPlan, Counts, Eligibility } from './update.ts';
import type { OpenTargets } from './update-request.ts';
import { isEnded, type UpdateStatus } from './update-status.ts';

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
  supersede: boolean;
  unknown_version: UnknownVersion;
  comment: string;
  retry_of_update_id: number | null;
  continuous: boolean;
  /** Of a continuous update. */
  targets: OpenTargets | null;
  open_group: string | null;
  heeds_all_types: boolean;
  replaces_update_id: number | null;
  woken_dt: Date | null;
  looked_at_device_id: number | null;
  idempotency_key: string | null;
  request_hash: string;
  request_id: string;
  created_by: string;
  created_dt: Date;
  /** null: no events are told of it. */
  told: string | null;
}

/** Answers the id; undefined when the caller has used this idempotency key before. Waits for a request under way with the same key. */
export const insertUpdate = async (
  trx: Trx,
  { exponential, abort, window, targets, ...update }: NewUpdate,
): Promise<number | undefined> => {
  const row = await trx
    .insertInto('updates')
    .values({
      ...update,
      due_dt: addSeconds(update.created_dt, firstStepDelaySeconds),
      exponential: exponential && JSON.stringify(exponential),
      abort: JSON.stringify(abort),
      window: window && JSON.stringify(window),
      targets: targets && JSON.stringify(targets),
      status: 'SCHEDULED',
    })
    .onConflict((oc) => oc.constraint('updates_created_by_idempotency_key_key').doNothing())
    .returning('id')
    .executeTakeFirst();
  return row?.id;
};

export type Planned = Partial<Record<Eligibility, number>>;

/**
 * Executions by status when an admin resumed the update. `ALREADY_ON_TARGET`: how many of those that had succeeded were never asked; missing: a release
 * that did not note it has resumed the update.
 */
export type ResumedCounts = Partial<Counts> & { ALREADY_ON_TARGET?: number };

export interface Plan {
  planned: Planned;
  already_on_target: number;
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

/** Whether there is an update of this id. */
export const isUpdate = async (db: Db, id: number): Promise<boolean> =>
  (await db.selectFrom('updates').select('id').where('id', '=', id).executeTakeFirst()) !== undefined;

/** Of `updates u` and `firmwares f`: what both a step and an answer of the API need to know. */
export const settingColumns = [
  'u.id',
  'u.firmware_id',
  'f.status as firmware_status',
  'u.status',
  'u.reason',
  sql<Planned>`u.planned`.as('planned'),
  // null: the previous release has requested the update. It inserts all that it plans at once, so the plan has the number.
  sql<number>`coalesce(u.already_on_target, (u.planned->>'ALREADY_ON_TARGET')::integer, 0)`.as('already_on_target'),
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
  'u.allow_downgrade',
  'u.force',
  'u.supersede',
  'u.unknown_version',
  'u.needs_approval',
  'u.decision',
  'u.created_by',
  'u.created_dt',
  'u.started_dt',
  'u.finished_dt',
  'u.due_dt',
  'u.continuous',
  'u.rests_dt',
  sql<OpenTargets | null>`u.targets`.as('targets'),
  'u.replaces_update_id',
] as const;

/** Columns of {@link settingColumns} that are plain text to the database, and of which the service knows more. */
export interface SettingTypes {
  status: UpdateStatus;
  firmware_status: FirmwareStatus;
  unknown_version: UnknownVersion;
  decision: Approval['decision'];
}

/** The row is the lock of an update: its walk and the admin's controls wait for each other here. */
export const lockUpdate = (trx: Trx, id: number) =>
  trx
    .selectFrom('updates as u')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .innerJoin('hardware_types as h', 'h.name', 'f.hardware_type')
    .select(settingColumns)
    .select([
      'f.hardware_type',
      revisionsOf('f').as('revisions'),
      'h.device_kind',
      'u.paused_dt',
      'u.paused_seconds',
      sql<ResumedCounts | null>`u.resumed_counts`.as('resumed_counts'),
      'u.cancels_all',
      'u.includes_iot',
      'u.next_step',
      'u.sent_step',
      'u.stepped_dt',
      'u.last_release_dt',
      'u.woken_dt',
      'u.looked_at_device_id',
      sql<boolean>`u.told IS NOT NULL`.as('tells_events'),
      sql<boolean>`EXISTS (SELECT FROM update_candidates c WHERE c.update_id = u.id)`.as('has_candidates'),
      sql<boolean>`EXISTS (SELECT FROM update_candidates c WHERE c.blocked_by_update_id = u.id)`.as('blocks_others'),
      sql<boolean>`u.supersede AND EXISTS (SELECT FROM update_claims c WHERE c.update_id = u.id)`.as('has_claims'),
      // A column of the locked row, so that a step that has waited for a request knows of its claims.
      sql<boolean>`u.superseded_by_update_id IS NOT NULL`.as('is_superseded'),
      sql<boolean>`EXISTS (SELECT FROM zones WHERE maintenance_window IS NOT NULL)`.as('has_zone_windows'),
      sql<boolean>`EXISTS (SELECT FROM zones WHERE maximum_unavailable_percentage < 100)`.as('has_zone_budgets'),
    ])
    .where('u.id', '=', id)
    .$narrowType<SettingTypes & { device_kind: DeviceKind }>()
    .forUpdate('u')
    .executeTakeFirst();

/** Locks the updates of a hardware type that have not finished, the latest first, as all that lock several updates do. */
export const lockUpdatesOf = async (trx: Trx, hardware_type: string): Promise<void> => {
  await trx
    .selectFrom('updates as u')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .select('u.id')
    .where('u.finished_dt', 'is', null)
    .where('f.hardware_type', '=', hardware_type)
    .orderBy('u.id', 'desc')
    .forUpdate('u')
    .execute();
};

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
  rests_dt?: Date | null;
  woken_dt?: Date;
  looked_at_device_id?: number | null;
  includes_iot?: boolean;
  already_on_target?: number;
  canary_started_dt?: Date;
  canary_passed_dt?: Date;
  paused_dt?: Date | null;
  resumed_counts?: ResumedCounts;
  cancels_all?: boolean;
  decision?: 'APPROVED' | 'REJECTED';
  decided_by?: string;
  decided_dt?: Date;
  decision_remark?: string;
  rollout?: Rollout;
}

/** An update that has ended takes nobody in any more, and needs its group no longer. */
const closed = { open_group: null, looked_at_device_id: null, rests_dt: null };

/** Only while the row is locked by {@link lockUpdate}. */
export const changeUpdate = async (trx: Trx, id: number, { rollout, resumed_counts, ...change }: UpdateChange): Promise<void> => {
  const pace = rollout && { ...rollout, exponential: rollout.exponential && JSON.stringify(rollout.exponential) };
  await trx
    .updateTable('updates')
    .set({
      ...change,
      ...pace,
      ...(change.status && isEnded(change.status) && closed),
      ...(resumed_counts && { resumed_counts: JSON.stringify(resumed_counts) }),
    })
    .where('id', '=', id)
    .execute();
};

/** Notes that the message of a step is sent, so that a repetition of the step before does not send another. */
export const markStepSent = async (db: Db, id: number, step: number): Promise<void> => {
  await db.updateTable('updates').set({ sent_step: step }).where('id', '=', id).where('sent_step', '<', step).execute();
};

/** Whether the executions of an update are no longer kept. If it is asked in a transaction, their removal cannot begin before that has ended. */
export const areExecutionsRemoved = async (db: Db, id: number): Promise<boolean> => {
  const row = await db.selectFrom('updates').select('executions_removed_dt').where('id', '=', id).forShare().executeTakeFirst();
  return row?.executions_removed_dt != null;
};
