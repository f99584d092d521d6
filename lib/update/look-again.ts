import type { Trx } from '../db/database.ts';
import { wrongField } from '../errors.ts';
import type { ChangedFirmware } from '../firmware/edit-firmware.ts';
import type { NewGroup } from '../fleet/group.ts';
import type { Queue } from '../ports/queue.ts';
import type { AdvanceMessage } from './messages.ts';
import { findPassingCondition } from './plan/chosen-targets.ts';
import {
  letUpdatesOfFirmwareLook,
  letUpdatesOfGroupLook,
  letUpdatesOfHardwareTypeLook,
  letUpdatesOfRenumberedFirmwareLook,
} from './plan/look-queries.ts';
import { wakeForWithdrawal, wakeToLook } from './reach/wake-for-candidates.ts';

/**
 * Devices can come to match an open update although nothing about them has changed: because its group, its firmware or its hardware type has.
 * Such a change lets the updates that it concerns look at all devices once more. Each of these is the last act before the commit.
 */

/** @throws `request.invalid` when an update is open for the group and the group has a condition that it cannot have; `queue.unavailable` */
export const lookAgain = async (trx: Trx, advances: Queue<AdvanceMessage>, { name, filter }: NewGroup, now: Date): Promise<void> => {
  const looking = await letUpdatesOfGroupLook(trx, name);
  if (looking.length === 0) return;
  const passing = findPassingCondition(filter);
  const message = 'is not possible while a continuous update is open for this group';
  if (passing) throw wrongField('request.invalid', `filter.${passing}`, message);
  await wakeToLook(trx, advances, looking, now);
};

/** The updates that bring a withdrawn firmware end. @throws `queue.unavailable` */
export const heedFirmware = async (
  trx: Trx,
  advances: Queue<AdvanceMessage>,
  { id, hardware_type, changed }: ChangedFirmware,
  now: Date,
): Promise<void> => {
  const lookOf = () => {
    if (changed.includes('version_num')) return letUpdatesOfRenumberedFirmwareLook(trx, id, hardware_type);
    return changed.includes('revisions') ? letUpdatesOfFirmwareLook(trx, id) : [];
  };
  await wakeToLook(trx, advances, await lookOf(), now);
  // They are among those that are locked already, if any are.
  if (changed.includes('status')) await wakeForWithdrawal(trx, advances, id, now);
};

/** @throws `queue.unavailable` */
export const heedHardwareType = async (trx: Trx, advances: Queue<AdvanceMessage>, hardware_type: string, now: Date): Promise<void> => {
  await wakeToLook(trx, advances, await letUpdatesOfHardwareTypeLook(trx, hardware_type), now);
};
