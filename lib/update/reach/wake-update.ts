import { addSeconds } from '../../clock.ts';
import type { Trx } from '../../db/database.ts';
import type { Queue } from '../../ports/queue.ts';
import { firstStepDelaySeconds } from '../../walk.ts';
import { hasUntold } from '../event-queries.ts';
import type { AdvanceMessage } from '../messages.ts';
import { noteMissedSteps } from '../outage-queries.ts';
import { changeUpdate, type LockedUpdate, lockUpdate } from '../update-queries.ts';
import { adoptDispatches } from './dispatch-queries.ts';
import { leaseSeconds } from './lease.ts';
import { hastenVerifications } from './look-up-queries.ts';

/**
 * Sends the messages of an update again, because they may be lost: the message of its next step at once, which sends the chunks without an
 * answer and the look-ups without an answer again. If the old messages were not lost, they find their work done. For a finished update this
 * sends something only if events are left to tell.
 *
 * Only while the update is locked, and as the last act before the commit (README.md of lib/update).
 *
 * @throws `queue.unavailable`
 */
export const wakeUpdate = async (trx: Trx, advances: Queue<AdvanceMessage>, update: LockedUpdate, now: Date): Promise<void> => {
  const { id, next_step, created_dt, finished_dt } = update;
  const message = { update_id: id, step: next_step, created_dt };
  if (finished_dt) {
    if (await hasUntold(trx, id)) await advances.send([message], { delaySeconds: firstStepDelaySeconds });
    return;
  }
  await adoptDispatches(trx, id, next_step, { releasedBefore: now, calledBefore: addSeconds(now, -leaseSeconds), now });
  await hastenVerifications(trx, id, now);
  // What was missed until now would not be seen any more once the next step is due later.
  await noteMissedSteps(trx, update, now);
  await changeUpdate(trx, id, {
    due_dt: addSeconds(now, firstStepDelaySeconds),
    ...(update.continuous && { rests_dt: null, woken_dt: now }),
  });
  await advances.send([message], { delaySeconds: firstStepDelaySeconds });
};

/** No walk that waits for its devices looks at them less often. */
const longestUsualDelaySeconds = 30;

/**
 * Wakes every update that sleeps until a window opens, because what it sleeps for may have changed. As the last act before the commit.
 *
 * @throws `queue.unavailable`
 */
export const wakeSleepers = async (trx: Trx, advances: Queue<AdvanceMessage>, now: Date): Promise<void> => {
  const sleepers = await trx
    .selectFrom('updates')
    .select('id')
    .where('finished_dt', 'is', null)
    .where('due_dt', '>', addSeconds(now, longestUsualDelaySeconds))
    // The latest first: whoever locks several updates does it in this order, so that no two of them wait for each other in a circle.
    .orderBy('id', 'desc')
    .execute();
  for (const { id } of sleepers) {
    const locked = await lockUpdate(trx, id);
    if (locked) await wakeUpdate(trx, advances, locked, now);
  }
};
