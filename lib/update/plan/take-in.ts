import { secondsBetween } from '../../clock.ts';
import type { Db, Trx } from '../../db/database.ts';
import type { DeviceFilter } from '../../fleet/device-filter.ts';
import { inService } from '../../fleet/group-members.ts';
import { findGroup } from '../../fleet/group-queries.ts';
import type { LockedUpdate } from '../update-queries.ts';
import type { OpenTargets } from '../update-request.ts';
import {
  freeEndedCandidates,
  holdBlockedCandidates,
  type Intake,
  insertCandidates,
  listCandidates,
  listYoungerUpdates,
  noteNextDevices,
  tryToPlan,
} from './take-in-queries.ts';
import { getWantedFirmware } from './wanted-firmware.ts';

export interface TakenIn {
  /** Whether any of them polls. */
  includesIot: boolean;
  /** Whether other candidates can be looked at at once. */
  isMore: boolean;
  /** How far a look at all devices has come; null: none is under way. */
  looked_at_device_id: number | null;
}

/** Bounds a step. */
const mostAtOnce = 10_000;

/** No change of a device takes longer from its first statement to its commit: functions are given 29 s, and statements less. */
const longestChangeSeconds = 60;

/**
 * Takes devices into an update that were noted for it (lib/fleet/candidate-queries.ts): those that it means, and that may be updated by the same
 * rules as when it was planned, get an execution and wait for their turn like all others. A device that another update has in flight stays a
 * candidate until that has ended. Only while the update is locked, and running. It waits for nobody: what somebody else is changing at this
 * moment is left to the next step.
 */
export const takeIn = async (trx: Trx, update: LockedUpdate, now: Date): Promise<TakenIn> => {
  const { id, looked_at_device_id } = update;
  const nothing: TakenIn = { includesIot: false, isMore: false, looked_at_device_id };
  if (update.firmware_status !== 'available' || (!update.has_candidates && looked_at_device_id === null)) return nothing;
  if (!(await tryToPlan(trx))) return { ...nothing, isMore: true };
  const firmware = await getWantedFirmware(trx, update.firmware_id);
  const filter = update.targets ? await filterOf(trx, update.targets) : {};
  const meant = { update_id: id, firmware, filter, now };
  const looked = mayLook(update, now) ? await noteNextDevices(trx, meant, looked_at_device_id ?? 0, mostAtOnce) : looked_at_device_id;
  const { allow_downgrade, force, unknown_version, tells_events } = update;
  const candidates = await listCandidates(trx, id, mostAtOnce);
  if (candidates.length === 0)
    return { ...nothing, isMore: looked !== looked_at_device_id && looked !== null, looked_at_device_id: looked };
  const { includes_iot, is_any_left } = await insertCandidates(trx, {
    ...{ ...meant, allow_downgrade, force, unknown_version, candidates },
    younger: update.continuous ? await listYounger(trx, update, now) : [],
    tellsEvents: tells_events,
  });
  const held = is_any_left ? await holdBlockedCandidates(trx, meant, candidates) : 0;
  const isMore = candidates.length === mostAtOnce || held > 0 || (looked !== null && looked !== looked_at_device_id);
  return { includesIot: includes_iot, isMore, looked_at_device_id: looked };
};

/**
 * A change that was on its way when the update was requested could not note its device for it. So all devices are looked at once more when that
 * change is certain to be stored.
 */
const mayLook = ({ looked_at_device_id, created_dt }: LockedUpdate, now: Date): boolean =>
  looked_at_device_id !== null && secondsBetween(created_dt, now) >= longestChangeSeconds;

const listYounger = async (trx: Trx, update: LockedUpdate, now: Date): Promise<Intake['younger']> => {
  const younger = [];
  for (const { firmware_id, targets } of await listYoungerUpdates(trx, update, now)) {
    younger.push({ firmware_id, filter: await filterOf(trx, targets) });
  }
  return younger;
};

/** Which devices an open update means now; a group may mean others than before. */
export const filterOf = async (db: Db, targets: OpenTargets): Promise<DeviceFilter> => {
  if ('filter' in targets) return inService(targets.filter);
  const group = await findGroup(db, targets.group);
  if (!group) throw new Error(`Group ${targets.group} is gone although an open update uses it`);
  return { ...inService(group.filter), ...(targets.percentage !== undefined && { percentage: targets.percentage }) };
};

/**
 * Frees the devices whose executions in this update have ended since its last step: updates that wait for these devices can take them in now.
 * Answers whether there were any.
 */
export const freeOthers = async (trx: Trx, { id, blocks_others, stepped_dt }: LockedUpdate, hasFinished: boolean): Promise<boolean> =>
  blocks_others && (await freeEndedCandidates(trx, id, hasFinished ? null : stepped_dt));
