import { secondsBetween } from '../../clock.ts';
import type { Remaining } from './release-queries.ts';

export const shortestDelaySeconds = 1;
/** While an update's waiting executions are being ended, one step follows the other at once. */
export const brakingDelaySeconds = 0;
export const longestDelaySeconds = 30;
/** SQS's own limit. */
export const longestScheduleDelaySeconds = 900;

/**
 * If an update has devices to release, its next step comes when the first of them is due; where windows are closed, that is when one
 * opens. If it waits only for its devices, steps become rarer: the next one comes after a tenth of the time since the last release.
 */
export const delayUntilNextStep = ({
  now,
  lastReleaseDt,
  remaining,
  isReleasing,
  isResting,
}: {
  now: Date;
  lastReleaseDt: Date;
  remaining: Pick<Remaining, 'next_attempt_dt'>;
  isReleasing: boolean;
  /** Whether no device is at work, and none may be asked before a window opens: until then no step is needed. */
  isResting: boolean;
}): number => {
  const dueDt = isReleasing ? remaining.next_attempt_dt : null;
  const due = dueDt ? Math.ceil(secondsBetween(now, dueDt)) : Number.POSITIVE_INFINITY;
  if (isResting) return Math.min(longestScheduleDelaySeconds, Math.max(shortestDelaySeconds, due));
  const patience = Math.ceil(secondsBetween(lastReleaseDt, now) / 10);
  return Math.min(longestDelaySeconds, Math.max(shortestDelaySeconds, Math.min(patience, due)));
};
