import * as z from 'zod/mini';
import type { Actor } from '../audit/actor.ts';
import { differenceOf, writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { violatedConstraint } from '../db/database-error.ts';
import { DomainError } from '../errors.ts';
import type { Log } from '../log.ts';
import { deleteDraft, reserveVersionNum } from './draft-queries.ts';
import { Comment, type Firmware, isRegistered, type ListedFirmware, RequestedVersionNum, Revisions } from './firmware.ts';
import { findFirmware, findUpdateWith, lockFirmware, updateFirmware } from './firmware-queries.ts';
import { lockHardwareType } from './hardware-type-queries.ts';
import { versionNumTaken } from './upload-firmware.ts';

/** What may change of a firmware; all else is immutable. */
export const FirmwareChange = z
  .strictObject({
    comment: z.optional(Comment),
    version_num: z
      .optional(RequestedVersionNum)
      .check(z.meta({ description: 'Corrects the ordinal, while no device has been asked for this firmware' })),
    revisions: z.optional(z.nullable(Revisions)).check(
      z.meta({
        description:
          'The revisions of hardware that it fits; null: all. From then on every device is judged by these when its turn comes, also in ' +
          'updates that have begun; devices that were asked already go on',
      }),
    ),
    status: z.optional(z.literal('withdrawn')).check(z.meta({ description: 'Withdraws it: from then on it is offered to nobody' })),
    reason: z.optional(Comment.check(z.minLength(1))).check(z.meta({ description: 'Why it is withdrawn' })),
  })
  .check(
    z.refine((change) => Object.values(change).some((value) => value !== undefined), {
      error: 'must have a comment, a version_num, revisions, or a status and its reason',
    }),
    z.refine(({ status, reason }) => status === undefined || reason !== undefined, {
      path: ['reason'],
      error: 'has to be given: those who run it will ask',
    }),
    z.refine(({ status, reason }) => reason === undefined || status !== undefined, { path: ['reason'], error: 'goes with a status' }),
    z.meta({ minProperties: 1, dependentRequired: { status: ['reason'], reason: ['status'] } }),
  );
export type FirmwareChange = z.output<typeof FirmwareChange>;

/** A firmware, and which of its fields have just been changed. */
export interface ChangedFirmware extends Pick<Firmware, 'id' | 'hardware_type'> {
  changed: readonly (keyof ReturnType<typeof editableOf>)[];
}

interface EditFirmwareDeps {
  db: Db;
  log: Log;
  now: Clock;
  /** The last act before the change is committed: open updates may have to take in other devices, or to end. Missing: none is woken. */
  heedFirmware?: (trx: Trx, firmware: ChangedFirmware) => Promise<void>;
}

/**
 * Changes the comment, the ordinal or the revisions of a firmware, or withdraws it, or does all of these at once. Only a firmware that was
 * available can be withdrawn; withdrawing it again changes nothing, and the first reason stays. Revisions change one row, however many devices
 * wait for the firmware: each device is judged by them when its turn comes. Open updates take in those that fit now.
 *
 * @throws `firmware.not_found`, `firmware.not_withdrawable`, `firmware.version_num_fixed` with the update that rests on the ordinal,
 *   `firmware.version_num_taken`; nothing is changed then.
 */
export async function editFirmware(
  { db, log, now, heedFirmware }: EditFirmwareDeps,
  id: number,
  { comment, reason, version_num, revisions }: FirmwareChange,
  actor: Actor,
): Promise<ListedFirmware> {
  const changed = await db.transaction().execute(async (trx) => {
    const isRenumbering = version_num !== undefined && version_num !== (await getFirmwareRow(trx, id)).version_num;
    const before = isRenumbering ? await lockToRenumber(trx, id) : await lockFirmware(trx, id, 'edit');
    if (!before) throw notFound(id);
    if (isRenumbering) await setVersionNum(trx, before, version_num, now());
    const after = await updateFirmware(trx, id, { comment, withdrawal_reason: reason, revisions });
    if (!after) throw notWithdrawable(before);
    const outcome = differenceOf(editableOf(before), editableOf(after));
    const action = 'status' in outcome.after ? 'withdraw' : 'change';
    const line = { action, resource: 'firmware', resource_id: String(id), outcome } as const;
    const changed = Object.keys(outcome.after) as (keyof typeof outcome.after)[];
    if (changed.length > 0) await writeAuditLine(trx, actor, line, now());
    if (changed.length > 0) await heedFirmware?.(trx, { id, hardware_type: after.hardware_type, changed });
    return after;
  });
  log.info('firmware changed', { firmware_id: id, status: changed.status });
  return changed;
}

const editableOf = ({ comment, version_num, revisions, status, reason }: Firmware) => ({ comment, version_num, revisions, status, reason });

/** In the order in which registrations take them. */
const lockToRenumber = async (trx: Trx, id: number): Promise<Firmware | undefined> => {
  const { hardware_type } = await getFirmwareRow(trx, id);
  await lockHardwareType(trx, hardware_type, 'add');
  return lockFirmware(trx, id, 'renumber');
};

/** An ordinal is fixed once an update was planned by it: devices that were asked compare it with what they run. */
const setVersionNum = async (trx: Trx, { id, hardware_type, status }: Firmware, version_num: number, now: Date): Promise<void> => {
  const isNumbered = isRegistered(status) || status === 'awaiting_upload';
  const update = await findUpdateWith(trx, id);
  if (!isNumbered || update) {
    const why = update ? `update ${update.id} rests on its version_num` : `it is ${status}`;
    throw new DomainError('firmware.version_num_fixed', `The version_num of firmware ${id} cannot be changed: ${why}`, {
      errors: [{ in: 'body', path: 'version_num', message: `cannot be changed: ${why}` }],
      answer: { firmware_status: status, ...(update && { update_id: update.id }) },
    });
  }
  try {
    await reserveVersionNum(trx, hardware_type, version_num, now);
    await updateFirmware(trx, id, { version_num });
  } catch (error) {
    throw violatedConstraint(error) === 'firmwares_hardware_type_version_num_key' ? versionNumTaken({ hardware_type, version_num }) : error;
  }
};

/**
 * Deletes a firmware that awaits its upload or was rejected. Its version and key are free again, and a file that is uploaded late is ignored.
 *
 * @throws `firmware.not_found`; `firmware.not_deletable` for one that is or was available, or is a package.
 */
export async function deleteFirmware({ db, log, now }: EditFirmwareDeps, id: number, actor: Actor): Promise<void> {
  const deleted = await db.transaction().execute(async (trx) => {
    const draft = await deleteDraft(trx, id);
    const line = { action: 'delete', resource: 'firmware', resource_id: String(id), outcome: { before: draft } } as const;
    if (draft) await writeAuditLine(trx, actor, line, now());
    return draft;
  });
  if (deleted) return log.info('firmware deleted', { firmware_id: id, hardware_type: deleted.hardware_type, version: deleted.version });
  const { status, assembly_id } = await getFirmwareRow(db, id);
  const why = assembly_id === null ? `is ${status}` : `is the package of assembly ${assembly_id}`;
  throw new DomainError('firmware.not_deletable', `Firmware ${id} ${why}: only what awaits its upload or was rejected can be deleted`, {
    answer: { firmware_status: status },
  });
}

const getFirmwareRow = async (db: Db, id: number): Promise<Firmware> => {
  const firmware = await findFirmware(db, id);
  if (!firmware) throw notFound(id);
  return firmware;
};

const notFound = (id: number): DomainError => new DomainError('firmware.not_found', `There is no firmware ${id}`);

const notWithdrawable = ({ id, status }: Firmware): DomainError =>
  new DomainError('firmware.not_withdrawable', `Firmware ${id} is ${status}: only one that was available can be withdrawn`, {
    errors: [{ in: 'body', path: 'status', message: 'cannot be changed to withdrawn' }],
    answer: { firmware_status: status },
  });
