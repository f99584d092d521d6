import type { Trx } from '../../db/database.ts';
import type { LockedUpdate } from '../update-queries.ts';
import { isEnded } from '../update-status.ts';
import { filterOf } from './take-in.ts';
import { tryToPlan } from './take-in-queries.ts';
import { dropClaims, takeOverDevices } from './take-over-queries.ts';
import { getPlannedFirmware } from './wanted-firmware.ts';

/**
 * How many devices a call or a step takes over, of those that wait. As many as a request can name, so that all of an emergency fix for named
 * devices is done with its answer.
 */
export const mostTakenOver = 10_000;

export interface Overtaken {
  /** The update as it is now. */
  update: LockedUpdate;
  /** When the next step has to take over others, and has nothing else to do before; null: the step goes on. */
  nextDelaySeconds: number | null;
  /** Whether older updates may have lost their last devices. */
  mayEndOthers: boolean;
}

export const nothingOvertaken = (update: LockedUpdate): Overtaken => ({ update, nextDelaySeconds: null, mayEndOthers: false });

/**
 * Takes over devices that an update has claimed, until none of them waits in an older update; only then does the update begin to ask, so that its
 * canary is drawn from all of them. What a request has promised is done in every state: also while the update waits for its start or for approval,
 * is paused, or was canceled; in the last case the executions are canceled afterwards. Only while the update is locked.
 */
export const takeOver = async (trx: Trx, update: LockedUpdate, limit: number, now: Date): Promise<Overtaken> => {
  if (!(await tryToPlan(trx))) return { update, nextDelaySeconds: 1, mayEndOthers: false };
  const { id, allow_downgrade, force, unknown_version, tells_events: tellsEvents, targets } = update;
  const firmware = await getPlannedFirmware(trx, update.firmware_id);
  const choice = { firmware, filter: targets && (await filterOf(trx, targets)), allow_downgrade, force, unknown_version, now };
  const hasEnded = isEnded(update.status);
  const taken = await takeOverDevices(trx, { ...choice, update_id: id, tellsEvents, limit, held: [], hasEnded });
  const isOver = !taken.isMore && hasEnded;
  if (isOver && taken.isAnyLeft) await dropClaims(trx, id);
  return {
    update: {
      ...update,
      includes_iot: update.includes_iot || taken.includesIot,
      already_on_target: update.already_on_target + taken.alreadyOnTarget,
      has_claims: taken.isAnyLeft && !isOver,
    },
    nextDelaySeconds: taken.isMore ? 0 : null,
    mayEndOthers: !taken.isMore && taken.superseded > 0,
  };
};
