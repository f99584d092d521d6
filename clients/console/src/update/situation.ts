import type { Update } from '../../../api/src/index.ts';

export { canaryWaitEnds, endedOf, failedOf, type Gauge, gaugeOf, type Situation, situationOf, totalOf } from '../../../api/src/index.ts';

const slow = 30_000;

type Standing = Pick<Update, 'finished_dt' | 'status'> & Partial<Pick<Update, 'rests_dt'>>;

/** Nothing happens to it before somebody or something else acts. */
const isStill = ({ status, rests_dt }: Standing): boolean => rests_dt != null || status === 'PAUSED' || status === 'WAITING_FOR_APPROVAL';

/** How soon to ask for an update again, in milliseconds; false: it has ended. */
export const pollInterval = (update: Standing | undefined, watchedMilliseconds: number): number | false => {
  if (update === undefined) return 2_000;
  return pollBeside(update, watchedMilliseconds < 60_000 ? 2_000 : 5_000);
};

/** The same for what stands beside it on its page, which is asked for every so often while the update is at work. */
export const pollBeside = (update: Standing, milliseconds: number): number | false => {
  if (update.finished_dt != null) return false;
  return isStill(update) ? slow : milliseconds;
};

/** A list of updates: seldom, while none of them is open. */
export const pollList = (updates: readonly Standing[], milliseconds: number): number =>
  updates.some((update) => update.finished_dt === null && !isStill(update)) ? milliseconds : slow;
