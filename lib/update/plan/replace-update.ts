import type { Actor } from '../../audit/actor.ts';
import { writeAuditLine } from '../../audit/audit-queries.ts';
import type { Db, Trx } from '../../db/database.ts';
import { DomainError, wrongField } from '../../errors.ts';
import type { Queue } from '../../ports/queue.ts';
import type { AdvanceMessage } from '../messages.ts';
import { wakeToLook } from '../reach/wake-for-candidates.ts';
import { wakeUpdate } from '../reach/wake-update.ts';
import { changeUpdate, type LockedUpdate, lockUpdate, lockUpdatesOf } from '../update-queries.ts';
import type { UpdateRequest } from '../update-request.ts';
import { isEnded, type UpdateStatus } from '../update-status.ts';
import type { WantedFirmware } from './eligibility.ts';
import { letOlderUpdatesLook } from './look-queries.ts';

/**
 * The continuous update that a request replaces, locked; undefined: it replaces none.
 *
 * @throws `request.invalid` when there is no such continuous update of this hardware type; `update.ended`
 */
export const lockReplaced = async (
  trx: Trx,
  { replaces_update_id, supersede }: Pick<UpdateRequest, 'replaces_update_id' | 'supersede'>,
  { hardware_type }: WantedFirmware,
): Promise<LockedUpdate | undefined> => {
  if (replaces_update_id === null) return undefined;
  // The request holds all of them until its commit. The replaced one is seldom the latest, and must not be locked before those that are.
  if (supersede) await lockUpdatesOf(trx, hardware_type);
  const replaced = await lockUpdate(trx, replaces_update_id);
  checkReplaced(replaced, { hardware_type });
  return replaced;
};

type Replaceable = Pick<LockedUpdate, 'id' | 'continuous' | 'status' | 'hardware_type'>;

/** The update that a dry run would replace, for {@link checkReplaced}. It is not locked. */
export const findReplaced = (db: Db, id: number): Promise<Replaceable | undefined> =>
  db
    .selectFrom('updates as u')
    .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
    .select(['u.id', 'u.continuous', 'u.status', 'f.hardware_type'])
    .where('u.id', '=', id)
    .$narrowType<{ status: UpdateStatus }>()
    .executeTakeFirst();

/** @throws `request.invalid` when it is no continuous update of this hardware type; `update.ended` */
export const checkReplaced = (replaced: Replaceable | undefined, { hardware_type }: Pick<WantedFirmware, 'hardware_type'>): void => {
  if (!replaced) throw refused('there is no such update');
  if (!replaced.continuous) throw refused('is not a continuous update');
  if (replaced.hardware_type !== hardware_type) throw refused(`updates ${replaced.hardware_type}`);
  if (isEnded(replaced.status)) {
    const message = `Update ${replaced.id} has ended: it is ${replaced.status}`;
    throw new DomainError('update.ended', message, { answer: { update_status: replaced.status } });
  }
};

const refused = (message: string) => wrongField('request.invalid', 'replaces_update_id', message);

/**
 * Ends an update that another one replaces. Devices that it has asked finish; the others are free for the other one at once. Answers which older
 * updates look at its devices, for {@link wakeReplaced}.
 */
export const endReplaced = async (trx: Trx, replaced: LockedUpdate, by: number, actor: Actor, now: Date): Promise<number[]> => {
  const change = { status: 'CANCELED', reason: `REPLACED: ${by}` } as const;
  await changeUpdate(trx, replaced.id, change);
  const looking = await letOlderUpdatesLook(trx, replaced);
  const { status, reason } = replaced;
  const outcome = { before: { status, reason }, after: change, replaced_by_update_id: by };
  await writeAuditLine(trx, actor, { action: 'replace', resource: 'update', resource_id: String(replaced.id), outcome }, now);
  return looking;
};

/**
 * Wakes the replaced update, whose steps end its waiting executions, and the older updates that look at its devices. As the last act before the
 * commit.
 */
export const wakeReplaced = async (
  trx: Trx,
  advances: Queue<AdvanceMessage>,
  { replaced, looking }: { replaced: LockedUpdate; looking: readonly number[] },
  now: Date,
): Promise<void> => {
  await wakeUpdate(trx, advances, replaced, now);
  await wakeToLook(trx, advances, looking, now);
};
