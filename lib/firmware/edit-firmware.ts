import * as z from 'zod/mini';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Log } from '../log.ts';
import { Comment, type ListedFirmware } from './firmware.ts';
import { findFirmware, updateFirmware } from './firmware-queries.ts';

/** What may change of a firmware; all else is immutable, and nothing is ever deleted. */
export const FirmwareChange = z
  .strictObject({
    comment: z.optional(Comment),
    status: z.optional(z.literal('withdrawn')).check(z.meta({ description: 'Withdraws it: from then on it is offered to nobody' })),
    reason: z.optional(Comment.check(z.minLength(1))).check(z.meta({ description: 'Why it is withdrawn' })),
  })
  .check(
    z.refine(({ comment, status, reason }) => comment !== undefined || status !== undefined || reason !== undefined, {
      error: 'must have a comment, or a status and its reason',
    }),
    z.refine(({ status, reason }) => status === undefined || reason !== undefined, {
      path: ['reason'],
      error: 'has to be given: those who run it will ask',
    }),
    z.refine(({ status, reason }) => reason === undefined || status !== undefined, { path: ['reason'], error: 'goes with a status' }),
  );
export type FirmwareChange = z.output<typeof FirmwareChange>;

/**
 * Changes the comment of a firmware, withdraws it, or both, in one statement. Only an available one can be withdrawn; withdrawing it
 * again changes nothing, and the first reason stays.
 *
 * @throws `firmware.not_found`, `firmware.not_withdrawable`; nothing is changed then.
 */
export async function editFirmware(deps: { db: Db; log: Log }, id: number, { comment, reason }: FirmwareChange): Promise<ListedFirmware> {
  const changed = await updateFirmware(deps.db, id, { comment, withdrawal_reason: reason });
  if (changed) {
    deps.log.info('firmware changed', { firmware_id: id, status: changed.status });
    return changed;
  }
  const existing = await findFirmware(deps.db, id);
  if (!existing) throw new DomainError('firmware.not_found', `There is no firmware ${id}`);
  throw new DomainError('firmware.not_withdrawable', `Firmware ${id} is ${existing.status}: only an available one can be withdrawn`, {
    errors: [{ in: 'body', path: 'status', message: 'cannot be changed to withdrawn' }],
    answer: { firmware_status: existing.status },
  });
}
