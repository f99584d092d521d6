import { addSeconds, secondsBetween } from '../clock.ts';
import { longestRetryAfterSeconds } from '../ports/backend.ts';
import type { ShownGate } from './shown-gate.ts';

/**
 * How much of the pace the backend can take at the moment. There is one gate for all updates, because they share the backend. Errors and
 * rising latency lower its share; then the share grows back slowly.
 */
export interface BackendGate {
  /** Share of the pace that is let through until `changed_dt`, 0 to 1; it grows with time since then. */
  share: number;
  changed_dt: Date;
  /** Failed calls in a row; while there are any, only single devices are sent, to find out whether it is back. */
  failures: number;
  /** No call before this. */
  closed_until: Date | null;
  /** What a call usually takes; a slow mean that one slow call hardly moves. */
  usual_latency_ms: number | null;
  /** What the last failed call said; null while the backend is well. */
  reason: string | null;
}

export interface CallResult {
  isTaken: boolean;
  /** What happened to a call that was not taken. */
  error?: string | undefined;
  latencyMilliseconds: number;
  retryAfterSeconds?: number | undefined;
  /** When the call began: an answer to a call from before the last change says nothing about the time after it. */
  began: Date;
  now: Date;
}

const smallestShare = 0.05;
/** From nothing to the full pace. Together with the longest wait for a probe and one step of the walk this stays below 30 s after a return. */
const secondsToFullShare = 12;
const longestProbeWaitSeconds = 12;
/** Latency counts as risen when it is twice the usual and noticeable at all. */
const risenFactor = 2;
const noticeableMilliseconds = 1_000;
/** A backend that usually takes less than this may take just as long as one that takes this, so that smaller figures need not be exact. */
const leastUsualMilliseconds = noticeableMilliseconds / risenFactor;
const slowDown = 0.8;
/** Calls that overlap tell of the same trouble, so after one slowing down there is no other for this long. */
const settleSeconds = 3;
/** The share grows back only after calls have been as fast as usual for this long. If it grew sooner, it would undo each slowing down. */
const holdSeconds = 10;

export const openGate = (now: Date): BackendGate => ({
  share: 1,
  changed_dt: now,
  failures: 0,
  closed_until: null,
  usual_latency_ms: null,
  reason: null,
});

/** The share of the pace now. */
export const shareAt = ({ share, changed_dt }: Pick<BackendGate, 'share' | 'changed_dt'>, now: Date): number =>
  Math.min(1, share + Math.max(0, secondsBetween(changed_dt, now)) / secondsToFullShare);

/** The gate's row as PostgreSQL's `to_jsonb` writes it. */
export interface GateInJson extends Omit<BackendGate, 'changed_dt' | 'closed_until'> {
  changed_dt: string;
  closed_until: string | null;
}

export const gateOfJson = ({ changed_dt, closed_until, ...gate }: GateInJson): BackendGate => ({
  ...gate,
  changed_dt: new Date(changed_dt),
  closed_until: closed_until === null ? null : new Date(closed_until),
});

/** The gate as API users see it. */
export const toShownGate = ({ share, changed_dt, failures, closed_until, reason }: BackendGate, now: Date): ShownGate => ({
  share: shareAt({ share, changed_dt }, now),
  failures,
  closed_until: closed_until !== null && closed_until > now ? closed_until : null,
  reason,
});

/**
 * How many commands may be released now, of those that the pace allows.
 *
 * @param underWay whether any chunk is on its way to the backend: a probe waits for the one before.
 */
export const allowedCommands = (gate: BackendGate, wanted: number, underWay: boolean, now: Date): number => {
  if (gate.closed_until && gate.closed_until > now) return 0;
  if (gate.failures > 0) return underWay ? 0 : Math.min(1, wanted);
  return Math.floor(wanted * shareAt(gate, now));
};

/** The gate after a call; the same object when nothing has changed, so that the usual call writes nothing. */
export const afterCall = (
  gate: BackendGate,
  { isTaken, error, latencyMilliseconds, retryAfterSeconds, began, now }: CallResult,
): BackendGate => {
  if (!isTaken) {
    // A call that was under way when the trouble began is not another failure; only a longer Retry-After in its answer counts.
    const isNew = began > gate.changed_dt || gate.failures === 0;
    const failures = isNew ? gate.failures + 1 : gate.failures;
    const wait = Math.min(longestRetryAfterSeconds, retryAfterSeconds ?? Math.min(longestProbeWaitSeconds, 2 ** (failures - 1)));
    const closed_until = addSeconds(now, wait);
    return {
      ...gate,
      ...(isNew && { share: failures === 1 ? Math.max(smallestShare, shareAt(gate, now) / 2) : smallestShare, changed_dt: now }),
      failures,
      reason: error ?? null,
      closed_until: gate.closed_until && gate.closed_until > closed_until ? gate.closed_until : closed_until,
    };
  }
  if (gate.failures > 0) {
    if (began < gate.changed_dt) return gate;
    return { ...gate, failures: 0, closed_until: null, reason: null, share: Math.max(smallestShare, gate.share), changed_dt: now };
  }
  const usual = gate.usual_latency_ms;
  // After it was slowed down, `changed_dt` lies `holdSeconds` in the future, and nothing grows until then.
  const hasSettled = secondsBetween(gate.changed_dt, now) > settleSeconds - holdSeconds;
  if (usual !== null && latencyMilliseconds > Math.max(noticeableMilliseconds, risenFactor * usual)) {
    if (!hasSettled) return gate;
    return {
      ...gate,
      share: Math.max(smallestShare, shareAt(gate, now) * slowDown),
      changed_dt: addSeconds(now, holdSeconds),
      usual_latency_ms: usual * 1.02,
    };
  }
  // The first figure is stored at once, later ones only when they differ much: otherwise every call would write the row.
  if (usual !== null && Math.abs(latencyMilliseconds - usual) < Math.max(usual, leastUsualMilliseconds) / 2) return gate;
  return { ...gate, usual_latency_ms: usual === null ? latencyMilliseconds : usual * 0.9 + latencyMilliseconds * 0.1 };
};

/** Whether a chunk that was released earlier may still be sent: while the backend is in trouble, only a probe of one device. */
export const mayCall = (gate: BackendGate, commands: number, now: Date): boolean =>
  (!gate.closed_until || gate.closed_until <= now) && (gate.failures === 0 || commands === 1);
