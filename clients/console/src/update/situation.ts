import type { Update } from '../../../api/src/index.ts';

export { canaryWaitEnds, endedOf, failedOf, type Gauge, gaugeOf, type Situation, situationOf, totalOf } from '../../../api/src/index.ts';

/** How soon to ask again, in milliseconds; false: it has ended. */
export const pollInterval = (
  update: Pick<Update, 'finished_dt' | 'status' | 'rests_dt'> | undefined,
  watchedMilliseconds: number,
): number | false => {
  if (update?.finished_dt != null) return false;
  if (update?.rests_dt != null || update?.status === 'PAUSED' || update?.status === 'WAITING_FOR_APPROVAL') return 30_000;
  return watchedMilliseconds < 60_000 ? 2_000 : 5_000;
};
