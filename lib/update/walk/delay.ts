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
  isAsleep,
}: {
  now: Date;
  lastReleaseDt: Date;
  remaining: Pick<Remaining, 'next_attempt_dt'>;
  isReleasing: boolean;
  /** Whether no device is at work, and none may be asked before a window opens: until then no step is needed. */
  isAsleep: boolean;
}): number => {
  const dueDt = isReleasing ? remaining.next_attempt_dt : null;
  const due = dueDt ? Math.ceil(secondsBetween(now, dueDt)) : Number.POSITIVE_INFINITY;
  if (isAsleep) return Math.min(longestScheduleDelaySeconds, Math.max(shortestDelaySeconds, due));
  const patience = Math.ceil(secondsBetween(lastReleaseDt, now) / 10);
  return Math.min(longestDelaySeconds, Math.max(shortestDelaySeconds, Math.min(patience, due)));
};

/** Changes that were on their way when an update went to rest are stored after so long. It is also how long it goes on after it was woken. */
const settlingSeconds = 60;

export interface Rest {
  rests_dt: Date | null;
  /** null: no step is needed until something changes. */
  delaySeconds: number | null;
}

/**
 * A continuous update that has nothing to do goes to rest in two steps. First it says so (`rests_dt`): whoever notes a device for it from then
 * on wakes it. A change that began before that could not know, so the update looks once more a minute later. Only then no step is due any more.
 * After it was woken, it goes on for a minute before it rests again, so that it is woken once a minute at most.
 *
 * @param untilSeconds when a window opens; null: it waits for no window
 */
export const rest = (update: { rests_dt: Date | null; woken_dt: Date | null }, untilSeconds: number | null, now: Date): Rest => {
  const within = (seconds: number) => Math.max(shortestDelaySeconds, Math.ceil(Math.min(seconds, untilSeconds ?? seconds)));
  const { rests_dt, woken_dt } = update;
  if (!rests_dt) {
    const awakeSeconds = woken_dt ? settlingSeconds - secondsBetween(woken_dt, now) : 0;
    if (awakeSeconds > 0) return { rests_dt: null, delaySeconds: within(Math.min(longestDelaySeconds, awakeSeconds)) };
    return { rests_dt: now, delaySeconds: within(settlingSeconds) };
  }
  const leftSeconds = settlingSeconds - secondsBetween(rests_dt, now);
  return { rests_dt, delaySeconds: leftSeconds > 0 ? within(leftSeconds) : untilSeconds };
};
