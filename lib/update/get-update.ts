import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { findUnknownFirmware, findUnknownHardwareType, missingSubjects } from '../firmware/missing-subjects.ts';
import { checkDeviceExists } from '../fleet/device-exists.ts';
import type { Page } from '../http/page.ts';
import { type ExclusionFilter, listExclusions } from './exclusion-queries.ts';
import { type DeviceExecutionFilter, type ExecutionFilter, listDeviceExecutions, listExecutions } from './execution-queries.ts';
import { type AliveTimes, defaultOfferTimes } from './offer-times.ts';
import type { DeviceExecution, Execution } from './shown-execution.ts';
import { momentsBetween, pointsOf, type Timeline } from './timeline.ts';
import { findUpdateSpan, groupExecutions } from './timeline-queries.ts';
import type { Exclusion, Update, UpdateDetail } from './update.ts';
import { findUpdateDetail } from './update-detail-queries.ts';
import { listUpdates as listFilteredUpdates, type UpdateFilter } from './update-page-queries.ts';
import { isUpdate } from './update-queries.ts';

const notFound = (id: number) => new DomainError('update.not_found', `There is no update ${id}`);

/**
 * A page of updates with their counts, in one statement.
 *
 * @throws `request.invalid` naming a firmware or hardware type that does not exist.
 */
export async function listUpdates(db: Db, filter: UpdateFilter, now: Date): Promise<Page<Update>> {
  const page = await listFilteredUpdates(db, filter, now);
  if (page.items.length > 0) return page;
  const errors = [
    ...(await findUnknownFirmware(db, { in: 'query', path: 'firmware_id' }, filter.firmware_id)),
    ...(await findUnknownHardwareType(db, { in: 'query', path: 'hardware_type' }, filter.hardware_type)),
  ];
  if (errors.length > 0) throw missingSubjects(errors);
  return page;
}

/** @throws `update.not_found` */
export async function getUpdate(db: Db, id: number, now: Date): Promise<UpdateDetail> {
  const update = await findUpdateDetail(db, id, now);
  if (!update) throw notFound(id);
  return update;
}

export interface TimelineQuery {
  points: number;
  from_dt?: Date | undefined;
  until_dt?: Date | undefined;
}

/**
 * The update's timeline, from its start to its end (or to now), unless the caller asks for a part of that.
 *
 * @throws `update.not_found`
 */
export async function getTimeline(db: Db, id: number, { points, from_dt, until_dt }: TimelineQuery, now: Date): Promise<Timeline> {
  const span = await findUpdateSpan(db, id);
  if (!span) throw notFound(id);
  if (span.executions_removed_dt) return { points: [] };
  const last = span.finished_dt ?? now;
  const moments = momentsBetween(from_dt ?? span.started_dt ?? span.created_dt, until_dt && until_dt < last ? until_dt : last, points);
  return { points: pointsOf(moments, await groupExecutions(db, id, moments)) };
}

/** @throws `update.not_found` */
export async function getExecutions(
  db: Db,
  filter: ExecutionFilter,
  now: Date,
  times: AliveTimes = defaultOfferTimes,
): Promise<Page<Execution>> {
  const page = await listExecutions(db, filter, now, times);
  if (page.items.length === 0 && !(await isUpdate(db, filter.update_id))) throw notFound(filter.update_id);
  return page;
}

/** @throws `update.not_found` */
export async function getExclusions(db: Db, filter: ExclusionFilter): Promise<Page<Exclusion>> {
  const page = await listExclusions(db, filter);
  if (page.items.length === 0 && !(await isUpdate(db, filter.update_id))) throw notFound(filter.update_id);
  return page;
}

/** @throws `device.not_found` */
export async function getDeviceUpdates(
  db: Db,
  filter: DeviceExecutionFilter,
  now: Date,
  times: AliveTimes = defaultOfferTimes,
): Promise<Page<DeviceExecution>> {
  const page = await listDeviceExecutions(db, filter, now, times);
  if (page.items.length === 0) await checkDeviceExists(db, filter.kind, filter.external_id);
  return page;
}
