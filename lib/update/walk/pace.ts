import { allowedCommands, type BackendGate } from '../backend-gate.ts';
import type { ExponentialRate } from '../rollout.ts';

export interface PaceWindow {
  seconds: number;
  maximumCommands: number;
}

/** Parts of a minute; the shortest is long enough to hide how long a message takes through the queue. */
const windowSeconds = [5, 6, 10, 12, 15, 20, 30] as const;
/** A shorter window spreads commands better, but its rounding to whole commands costs pace. This part of the pace may be lost. */
const maximumLoss = 0.05;

/**
 * The pace as a sliding window: at most `maximumCommands` in any `seconds`. A minute is made of whole windows, so the pace of a minute
 * is never exceeded; the window is the shortest that reaches at least 95 % of it.
 */
export const paceWindow = (maximumPerMinute: number): PaceWindow => {
  for (const seconds of windowSeconds) {
    const maximumCommands = Math.floor((maximumPerMinute * seconds) / 60);
    if ((maximumCommands * 60) / seconds >= maximumPerMinute * (1 - maximumLoss)) return { seconds, maximumCommands };
  }
  return { seconds: 60, maximumCommands: maximumPerMinute };
};

export interface Rollout {
  maximum_per_minute: number;
  exponential: ExponentialRate | null;
  /** Whether any device polls. */
  includes_iot?: boolean;
}

/**
 * A rate that grows is counted by whole minutes, because a window that changed with the rate would forget what was sent before. The rate of
 * devices that poll is, too: an offer counts from the time it is made, and when a device takes it does not depend on the window.
 */
const windowOf = ({ maximum_per_minute, includes_iot }: Rollout): PaceWindow =>
  includes_iot ? { seconds: 60, maximumCommands: maximum_per_minute } : paceWindow(maximum_per_minute);

export const windowSecondsOf = (rollout: Rollout): number => (rollout.exponential ? 60 : windowOf(rollout).seconds);

/** The most commands within {@link windowSecondsOf}, after `succeeded` executions have succeeded. */
export const maximumCommandsOf = (rollout: Rollout, succeeded: number): number => {
  const { maximum_per_minute, exponential } = rollout;
  if (!exponential) return windowOf(rollout).maximumCommands;
  const { base_per_minute, increment_factor, after_succeeded } = exponential;
  return Math.min(maximum_per_minute, Math.floor(base_per_minute * increment_factor ** Math.floor(succeeded / after_succeeded)));
};

/** How many more devices may be in progress; null: any number. */
export const freePlaces = (maximumInProgress: number | null, inProgress: number): number | null =>
  maximumInProgress === null ? null : Math.max(0, maximumInProgress - inProgress);

export interface Allowance {
  /** What the pace lets through within its window. */
  maximumCommands: number;
  /** null: for devices that poll, which scooters-backend has no part in. */
  gate: BackendGate | null;
  /** Commands of chunks not yet answered, and of calls begun within the window; offers that stand, or were taken within the window. */
  commandsInWindow: number;
  /** Whether any chunk, of any update, is on its way to the backend. */
  isUnderWay: boolean;
  /** Devices that may be asked beside those in progress; null: there is no limit. */
  places: number | null;
  /** Devices that wait but keep their place, because it is not known whether they got the last command. */
  unanswered: number;
  /** Devices that may still be asked before the canary has passed; null: no canary, or passed. */
  canaryLeft: number | null;
  now: Date;
}

/** How many executions may be released now: the smallest number that any limit allows. */
export const allowance = (limits: Allowance): number => {
  const { maximumCommands, gate, commandsInWindow, isUnderWay, places, unanswered, canaryLeft, now } = limits;
  const byPace = maximumCommands - commandsInWindow;
  // A probe is allowed even if the failed commands still fill the reduced share of the window.
  const byGate = (gate: BackendGate) =>
    gate.failures > 0
      ? allowedCommands(gate, 1, isUnderWay, now)
      : allowedCommands(gate, maximumCommands, isUnderWay, now) - commandsInWindow;
  const byPlaces = places === null ? Number.POSITIVE_INFINITY : places + unanswered;
  return Math.max(0, Math.min(byPace, gate ? byGate(gate) : byPace, byPlaces, canaryLeft ?? Number.POSITIVE_INFINITY));
};
