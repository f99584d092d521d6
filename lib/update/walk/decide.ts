import { reasons } from '../execution.ts';
import { heardSince, type Outage } from '../outage.ts';
import type { LockedUpdate } from '../update-queries.ts';
import { allowance, freePlaces, maximumCommandsOf } from './pace.ts';
import type { Progress } from './progress-queries.ts';
import { findStop, type Judged, judgeCanary, type Stop } from './stop-rules.ts';

/** Bounds a step's transaction and its messages. Steps can come every second, so this is above every pace that a fleet can take. */
export const maximumPerStep = 10_000;

export interface Decision {
  stop?: Stop;
  /** How many may be released. */
  limit: number;
  /** How many of them may take a place of `maximum_in_progress`; null: there is no limit. */
  places: number | null;
  /** Whether they belong to the canary. */
  isCanary: boolean;
  /** How many of them may be new to the canary. Devices of the canary that the backend has put off are asked again in addition. */
  newCanaries: number;
  /** How much of all this devices that poll may get: more than their share if the others do not need theirs. */
  offers: { limit: number; newCanaries: number };
  /** Whether the canary has passed in this step. */
  hasPassed: boolean;
}

/** What a running update does next; a pure function of what is known at the step. */
export const decide = (
  update: Pick<
    LockedUpdate,
    | 'already_on_target'
    | 'abort'
    | 'canary'
    | 'canary_started_dt'
    | 'canary_passed_dt'
    | 'resumed_counts'
    | 'firmware_status'
    | 'maximum_per_minute'
    | 'maximum_in_progress'
    | 'exponential'
  > & { includes_iot?: boolean },
  progress: Progress,
  now: Date,
  outages: readonly Outage[] = [],
): Decision => {
  const noOffers = { limit: 0, newCanaries: 0 };
  const nothing = { limit: 0, places: null, isCanary: false, newCanaries: 0, offers: noOffers, hasPassed: false };
  // Somebody can upload the same bytes again, so the update waits for them.
  if (update.firmware_status === 'lost') return { ...nothing, stop: { action: 'PAUSE', reason: reasons.firmwareLost } };
  if (update.firmware_status !== 'available') return { ...nothing, stop: { action: 'ABORT', reason: reasons.firmwareWithdrawn } };
  const stop = findStop(update.abort, judgedOf(update, progress));
  if (stop) return { ...nothing, stop };

  const { canary } = update;
  const { chosen, removed, isDrawn, waiting, succeeded, failed } = progress.canary;
  // Devices that were taken out (retired, or superseded by a newer update) neither succeed nor fail. Others take their places, as long as there
  // are any; then only these lack. Devices that ended before they were asked do not make the canary smaller.
  const fullSize = canary?.size ?? 0;
  const size = isDrawn ? Math.max(chosen, fullSize - removed) : fullSize;
  let isCanary = canary !== null && update.canary_passed_dt === null;
  let hasPassed = false;
  if (canary && isCanary) {
    const startedDt = update.canary_started_dt;
    const hasWaited = startedDt !== null && startedDt <= heardSince(now, canary.minimum_wait_minutes * 60, outages);
    const verdict = judgeCanary({ ...canary, size, succeeded, failed, hasWaited });
    if (verdict === 'failed') {
      return { ...nothing, stop: { action: 'ABORT', reason: `CANARY_FAILED: ${failed} of ${size} failed` } };
    }
    hasPassed = verdict === 'passed';
    isCanary = !hasPassed;
  }
  const newCanaries = canary && isCanary ? Math.max(0, size - chosen) : 0;
  const places = freePlaces(update.maximum_in_progress, progress.inProgress);
  const { standing, takenInWindow, offerable } = progress.offers ?? { standing: 0, takenInWindow: 0, offerable: 0 };
  const limits = {
    maximumCommands: maximumCommandsOf(update, progress.counts.SUCCEEDED - update.already_on_target),
    commandsInWindow: progress.commandsInWindow + standing + takenInWindow,
    isUnderWay: progress.isUnderWay,
    places,
    canaryLeft: isCanary ? newCanaries + waiting : null,
    now,
  };
  const limit = Math.min(maximumPerStep, allowance({ ...limits, gate: progress.gate, unanswered: progress.unanswered }));
  if (offerable === 0) return { limit, places, isCanary, newCanaries, offers: noOffers, hasPassed };

  // Both channels share one pace. The share of devices that poll is their part of all devices that wait.
  const forAll = Math.min(maximumPerStep, allowance({ ...limits, gate: null, unanswered: 0 }));
  const share = offerable / Math.max(offerable, progress.counts.QUEUED);
  const offers = { limit: forAll, newCanaries: Math.ceil(newCanaries * share) };
  const rest = Math.max(0, Math.min(limit, forAll + progress.unanswered - Math.ceil(forAll * share)));
  return { limit: rest, places, isCanary, newCanaries: newCanaries - offers.newCanaries, offers, hasPassed };
};

const judgedOf = (
  { already_on_target, resumed_counts }: Pick<LockedUpdate, 'already_on_target' | 'resumed_counts'>,
  { judged, lastEnds }: Progress,
): Judged => ({ counts: judged, alreadyOnTarget: already_on_target, resumedCounts: resumed_counts, lastEnds });
