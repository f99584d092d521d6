import type { Update } from '../../../api/src/index.ts';
import { failedOf } from './situation.ts';

type Counts = Update['counts'];

/** Of several updates together. */
export const addUp = (updates: readonly Pick<Update, 'counts'>[]): Counts => {
  const total: Counts = { QUEUED: 0, IN_PROGRESS: 0, SUCCEEDED: 0, FAILED: 0, TIMED_OUT: 0, REJECTED: 0, CANCELED: 0, REMOVED: 0 };
  for (const { counts } of updates) for (const status of Object.keys(total) as (keyof Counts)[]) total[status] += counts[status];
  return total;
};

export interface Verdict {
  succeeded: number;
  /** That have ended with a result of their own: succeeded or failed. */
  judged: number;
  /** 0 to 1; null: nothing can be said yet. */
  share: number | null;
  atWork: number;
}

export const verdictOf = (counts: Counts): Verdict => {
  const judged = counts.SUCCEEDED + failedOf(counts);
  return {
    ...{ succeeded: counts.SUCCEEDED, judged, atWork: counts.IN_PROGRESS },
    share: judged === 0 ? null : counts.SUCCEEDED / judged,
  };
};
