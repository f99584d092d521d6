import type { Trx } from '../db/database.ts';
import { wrongField } from '../errors.ts';
import type { NewGroup } from '../fleet/group.ts';
import type { Queue } from '../ports/queue.ts';
import type { AdvanceMessage } from './messages.ts';
import { findPassingCondition } from './plan/chosen-targets.ts';
import { letUpdatesOfGroupLook } from './plan/look-queries.ts';
import { wakeForCandidates } from './reach/wake-for-candidates.ts';

/**
 * A group has changed: continuous updates that are open for it look at all devices once more. As the last act before the commit.
 *
 * @throws `request.invalid` when such an update is open and the group has a condition that it cannot have; `queue.unavailable`
 */
export const lookAgain = async (trx: Trx, advances: Queue<AdvanceMessage>, { name, filter }: NewGroup, now: Date): Promise<void> => {
  if (!(await letUpdatesOfGroupLook(trx, name))) return;
  const passing = findPassingCondition(filter);
  const message = 'is not possible while a continuous update is open for this group';
  if (passing) throw wrongField('request.invalid', `filter.${passing}`, message);
  await wakeForCandidates(trx, advances, now);
};
