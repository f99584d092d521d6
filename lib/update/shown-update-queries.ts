import { sql } from 'kysely';
import { addSeconds } from '../clock.ts';
import type { Db } from '../db/database.ts';
import type { DeviceKind } from '../fleet/device.ts';
import { firstStepDelaySeconds, isLate } from '../walk.ts';
import { noCounts } from './execution.ts';
import { countsOf, lateSuccessesOf } from './figure-queries.ts';
import { type Counts, countEligible, progressOf, type Update } from './update.ts';
import { type SettingTypes, settingColumns } from './update-queries.ts';

const selectUpdates = (db: Db) =>
  db
    .selectFrom('updates as u')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .select(settingColumns)
    .select([
      'f.hardware_type',
      'f.version as firmware_version',
      'u.retry_of_update_id',
      'u.decided_by',
      'u.decided_dt',
      'u.decision_remark',
      'u.comment',
      'u.request_id',
      'u.executions_removed_dt',
    ])
    .$narrowType<SettingTypes>();

type UpdateRow = Awaited<ReturnType<ReturnType<typeof selectUpdates>['executeTakeFirstOrThrow']>>;

/** Updates with their counts, in one statement: the counts kept at the end, or counted now. */
export const selectCountedUpdates = (db: Db) =>
  selectUpdates(db).select([
    sql<Partial<Counts>>`coalesce(u.final_counts, ${countsOf(sql.ref('u.id'))})`.as('counts'),
    lateSuccessesOf(sql.ref('u.id')).as('late_successes'),
  ]);

export const toUpdate = (row: UpdateRow & { counts: Partial<Counts>; late_successes: number }, now: Date): Update => {
  const { planned, already_on_target, maximum_per_minute, maximum_in_progress, exponential, maximum_unavailable_percentage, ...others } =
    row;
  const { due_dt, queued_minutes, in_progress_minutes, number_of_retries, retry_failure_types, ...decided } = others;
  const { needs_approval, decision, decided_by, decided_dt, decision_remark, ...update } = decided;
  const { ELIGIBLE: _eligible, ELIGIBLE_UNKNOWN_VERSION: _unknown, ALREADY_ON_TARGET: _onTarget, ...not_eligible } = planned;
  const counts = { ...noCounts(), ...row.counts };
  return {
    ...update,
    counts,
    not_eligible,
    progress: progressOf(counts, already_on_target),
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

/** The update as its request was answered first, whatever has happened since. */
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
    rests_dt: null,
    executions_removed_dt: null,
    late_successes: 0,
  };
  const due_dt = addSeconds(row.created_dt, firstStepDelaySeconds);
  return toUpdate(
    {
      ...{ ...row, ...asRequested, ...notYet, due_dt },
      ...{ counts: { QUEUED: countEligible(row.planned), SUCCEEDED: ALREADY_ON_TARGET }, already_on_target: ALREADY_ON_TARGET },
    },
    due_dt,
  );
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
