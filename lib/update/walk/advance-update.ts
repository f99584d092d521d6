import { addSeconds } from '../../clock.ts';
import type { Queue } from '../../ports/queue.ts';
import { waitForCommit } from '../../walk.ts';
import { hasUntold } from '../event-queries.ts';
import type { AdvanceMessage, DispatchMessage, VerifyMessage } from '../messages.ts';
import { defaultOfferTimes, type OfferTimes } from '../offer-times.ts';
import { mostTakenOver } from '../plan/take-over.ts';
import { listUnansweredDispatches } from '../reach/dispatch-queries.ts';
import { listVerifications } from '../reach/look-up-queries.ts';
import { wakeForCandidates } from '../reach/wake-for-candidates.ts';
import { wakeSleepers } from '../reach/wake-update.ts';
import { markStepSent } from '../update-queries.ts';
import { longestDelaySeconds, shortestDelaySeconds } from './delay.ts';
import { doStep, type StepDone } from './step.ts';
import { type TellEventsDeps, type Told, tellEvents } from './tell-events.ts';

export interface AdvanceUpdateDeps extends TellEventsDeps {
  advances: Queue<AdvanceMessage>;
  dispatches: Queue<DispatchMessage>;
  verifications: Queue<VerifyMessage>;
  /** For devices that poll. */
  offerTimes?: OfferTimes;
  /** Removes a batch of old rows, also those of other updates; answers whether there may be more. Missing: nothing is removed. */
  removeOldRows?: (now: Date) => Promise<boolean>;
  /** Fewer than usual (../plan/take-over.ts), so that a test needs only a few devices. */
  mostTakenOver?: number;
}

/** How long the walk of a finished update goes on because the bus is away and events are left to tell. */
const longestToldAfterSeconds = 86_400;

/**
 * Does one step of an update: ends what is overdue, judges the stop rules and the canary, releases what the pace allows, hands it to the
 * dispatches queue, asks for look-ups that are due, tells events, and sends the message of the next step, until the last execution has
 * ended. Repeating a step, after a crash anywhere in it, releases nothing twice and sends what may not have been sent.
 *
 * @throws `queue.unavailable`, `database.unavailable`: the message has to come again.
 */
export async function advanceUpdate(deps: AdvanceUpdateDeps, message: AdvanceMessage): Promise<void> {
  const { db } = deps;
  const { update_id, step } = message;
  const now = deps.now();
  const result = await db
    .transaction()
    .execute((trx) =>
      doStep(trx, message, { times: deps.offerTimes ?? defaultOfferTimes, mostTakenOver: deps.mostTakenOver ?? mostTakenOver, now }),
    );

  if (result.kind === 'missing') {
    const isAwaited = await waitForCommit(deps.advances, message, now);
    if (!isAwaited) deps.log.warn('update was never committed', { update_id });
    return;
  }
  if (result.kind !== 'done') return;
  // These are sent before the next step's message: if one of them fails, the message of this step comes again and finds them.
  if (!result.finished_dt) await sendChunks(deps, update_id, step);
  if (result.wakesOthers) await db.transaction().execute((trx) => wakeForCandidates(trx, deps.advances, now));
  if (result.wakesSleepers) await db.transaction().execute((trx) => wakeSleepers(trx, deps.advances, now));
  const delaySeconds = result.isRepeated
    ? await delayOfRepetition(deps, result, update_id)
    : (delayAfterTelling(result, await tellEvents(deps, update_id), now) ?? (await delayAfterRemoving(deps, now)));
  if (delaySeconds === null) return;
  await deps.advances.send([{ update_id, step: step + 1, created_dt: message.created_dt }], { delaySeconds });
  await markStepSent(db, update_id, step + 1);
}

const sendChunks = async ({ db, dispatches, verifications }: AdvanceUpdateDeps, update_id: number, step: number): Promise<void> => {
  const released = await listUnansweredDispatches(db, update_id, step);
  if (released.length > 0) await dispatches.send(released.map((dispatch_id) => ({ dispatch_id })));
  const unproven = await listVerifications(db, update_id, step);
  if (unproven.length > 0) await verifications.send(unproven.map((dispatch_id) => ({ dispatch_id })));
};

/**
 * A repeated step tells no events: the first one does. If the first one has died, the next step tells them; so a finished update with events
 * left to tell gets one more step.
 */
const delayOfRepetition = async (
  { db, events }: TellEventsDeps,
  { nextDelaySeconds }: StepDone,
  update_id: number,
): Promise<number | null> => nextDelaySeconds ?? (events && (await hasUntold(db, update_id)) ? longestDelaySeconds : null);

/** The walk of a finished update goes on while events are left to tell. */
const delayAfterTelling = ({ nextDelaySeconds, finished_dt }: StepDone, told: Told, now: Date): number | null => {
  if (told === 'all') return nextDelaySeconds;
  if (told === 'some') return shortestDelaySeconds;
  const isGivenUp = finished_dt !== null && now > addSeconds(finished_dt, longestToldAfterSeconds);
  return nextDelaySeconds ?? (isGivenUp ? null : longestDelaySeconds);
};

/** The service has no timer, so the walk of a finished update also removes old rows, one batch per step, until none is left. */
const delayAfterRemoving = async ({ removeOldRows }: AdvanceUpdateDeps, now: Date): Promise<number | null> =>
  (await removeOldRows?.(now)) ? shortestDelaySeconds : null;
