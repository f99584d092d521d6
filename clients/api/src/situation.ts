// What an update does now, and why; also why nothing happens. Without words, so that it can be said in any language.
import type { Update, UpdateDetail } from './generated.ts';
import type { Wait } from './waits.ts';

type Counts = Update['counts'];

export const totalOf = (counts: Counts): number => Object.values(counts).reduce((sum, count) => sum + count, 0);
export const endedOf = (counts: Counts): number => totalOf(counts) - counts.QUEUED - counts.IN_PROGRESS;
export const failedOf = ({ FAILED, TIMED_OUT, REJECTED }: Counts): number => FAILED + TIMED_OUT + REJECTED;

export type Situation =
  | { kind: 'ended'; status: Update['status']; reason: string | null; succeeded: number; failed: number; total: number }
  | { kind: 'stopping'; status: Update['status']; reason: string | null; atWork: number }
  | { kind: 'paused'; reason: string | null; atWork: number; waiting: number }
  | { kind: 'waitsForApproval'; by: string }
  | { kind: 'late'; due: string | null }
  | { kind: 'scheduled'; start: string | null }
  | { kind: 'withdrawn' | 'lost'; atWork: number }
  | { kind: 'staysOpen'; since: string | null }
  | { kind: 'everybodyAsked'; atWork: number; deadline: string | null }
  /** Its own devices have ended; one that supersedes others may wait for devices that are at work for these. */
  | { kind: 'nobodyLeft'; supersedes: boolean }
  | { kind: 'backendAway'; reason: string | null; until: string }
  | { kind: 'canaryStarts'; size: number }
  | { kind: 'canaryAtWork'; size: number; open: number; percentage: number }
  | { kind: 'canaryWaits'; until: string }
  | { kind: 'putOff'; waiting: number; atWork: number }
  | { kind: 'atLimit'; atWork: number }
  | { kind: 'waitsForWindow'; waiting: number; until: string | null }
  | { kind: 'atBudget'; atWork: number }
  | { kind: 'nobodyAsked'; waiting: number }
  | { kind: 'asking'; perMinute: number; slowedTo: number | null };

/** The first that holds. That windows and budgets hold devices back is known from `waits` alone. */
export const situationOf = (update: UpdateDetail, now: Date, waits: readonly Wait[] = []): Situation => {
  const { status, counts, reason } = update;
  const atWork = counts.IN_PROGRESS;
  if (update.finished_dt !== null)
    return { kind: 'ended', status, reason, succeeded: counts.SUCCEEDED, failed: failedOf(counts), total: totalOf(counts) };
  if (status === 'CANCELED' || status === 'ABORTED') return { kind: 'stopping', status, reason, atWork };
  if (status === 'PAUSED') return { kind: 'paused', reason, atWork, waiting: counts.QUEUED };
  if (status === 'WAITING_FOR_APPROVAL') return { kind: 'waitsForApproval', by: update.created_by };
  if (update.walk.is_late) return { kind: 'late', due: update.walk.due_dt };
  if (status === 'SCHEDULED') return { kind: 'scheduled', start: update.start_dt };
  return whyItWaits(update, now) ?? whatZonesAllow(update, waits) ?? howItGoes(update);
};

const whyItWaits = (update: UpdateDetail, now: Date): Situation | undefined => {
  const { counts, firmware_status, backend_gate, rollout } = update;
  const atWork = counts.IN_PROGRESS;
  if (firmware_status === 'withdrawn' || firmware_status === 'lost') return { kind: firmware_status, atWork };
  if (update.continuous && counts.QUEUED + atWork === 0) return { kind: 'staysOpen', since: update.rests_dt };
  if (counts.QUEUED + atWork === 0) return { kind: 'nobodyLeft', supersedes: update.supersede };
  if (counts.QUEUED === 0) return { kind: 'everybodyAsked', atWork, deadline: update.at_work?.deadline_dt ?? null };
  if (backend_gate.closed_until !== null && new Date(backend_gate.closed_until) > now)
    return { kind: 'backendAway', reason: backend_gate.reason, until: backend_gate.closed_until };
  const canary = whatTheCanaryWaitsFor(update, now);
  if (canary) return canary;
  const putOff = update.reasons.find(({ status, reason }) => status === 'QUEUED' && reason === 'DEFERRED')?.count ?? 0;
  if (putOff >= counts.QUEUED) return { kind: 'putOff', waiting: putOff, atWork };
  const most = rollout.maximum_in_progress;
  return most !== null && atWork >= most ? { kind: 'atLimit', atWork } : undefined;
};

/** When the canary has been at work long enough; undefined: it has not begun. */
export const canaryWaitEnds = ({ canary, canary_started_dt }: UpdateDetail): Date | undefined =>
  canary && canary_started_dt !== null ? new Date(new Date(canary_started_dt).getTime() + canary.minimum_wait_minutes * 60_000) : undefined;

const whatTheCanaryWaitsFor = (update: UpdateDetail, now: Date): Situation | undefined => {
  const { canary, canary_passed_dt, canary_counts } = update;
  if (!canary || canary_passed_dt !== null) return undefined;
  const until = canaryWaitEnds(update);
  if (!until) return { kind: 'canaryStarts', size: canary.size };
  const open = canary_counts === null ? canary.size : canary_counts.QUEUED + canary_counts.IN_PROGRESS;
  if (open > 0) return { kind: 'canaryAtWork', size: canary.size, open, percentage: canary.success_percentage };
  return until > now ? { kind: 'canaryWaits', until: until.toISOString() } : { kind: 'canaryStarts', size: canary.size };
};

/** Only where all that were looked at are held back by their zones. */
const whatZonesAllow = ({ counts }: UpdateDetail, waits: readonly Wait[]): Situation | undefined => {
  const areHeldBy = (...causes: Wait['cause'][]) => waits.length > 0 && waits.every(({ cause }) => causes.includes(cause));
  const atWork = counts.IN_PROGRESS;
  if (atWork === 0 && areHeldBy('WINDOW')) return { kind: 'waitsForWindow', waiting: counts.QUEUED, until: waits[0]?.until_dt ?? null };
  const isAnyHeldByBudget = waits.some(({ cause }) => cause === 'BUDGET');
  return isAnyHeldByBudget && areHeldBy('WINDOW', 'BUDGET') ? { kind: 'atBudget', atWork } : undefined;
};

const howItGoes = ({ pace_per_minute, rollout, backend_gate, counts }: UpdateDetail): Situation =>
  pace_per_minute === 0 && counts.IN_PROGRESS === 0
    ? { kind: 'nobodyAsked', waiting: counts.QUEUED }
    : { kind: 'asking', perMinute: rollout.maximum_per_minute, slowedTo: backend_gate.share < 1 ? backend_gate.share : null };

/** A stop rule as a gauge: how far the failures are from the threshold. */
export interface Gauge {
  /** Of those asked, 0 to 1. */
  share: number;
  threshold: number;
  failures: number;
  /** So many have to end before the rule judges; 0: it judges now. */
  stillToEnd: number;
  isReached: boolean;
}

type Rule = Update['abort'][number];

/**
 * As the service judges: the failures among all devices that were asked, those at work included; who ran the firmware already counts for
 * nothing. After a resume the service judges a rule that pauses by what has ended since, which cannot be seen from here.
 */
export const gaugeOf = (
  { failure_types, threshold_percentage, minimum_executions }: Rule,
  { counts, reasons }: Pick<UpdateDetail, 'counts' | 'reasons'>,
): Gauge => {
  const all = ['FAILED', 'TIMED_OUT', 'REJECTED'] as const;
  const counted: readonly (typeof all)[number][] = failure_types.includes('ALL')
    ? all
    : all.filter((status) => failure_types.includes(status));
  const failures = counted.reduce((sum, status) => sum + counts[status], 0);
  const alreadyOnTarget = reasons.find(({ reason }) => reason === 'ALREADY_ON_TARGET')?.count ?? 0;
  const ended = Math.max(0, counts.SUCCEEDED - alreadyOnTarget) + failedOf(counts);
  const share = failures / Math.max(1, ended + counts.IN_PROGRESS);
  const stillToEnd = Math.max(0, minimum_executions - ended);
  const threshold = threshold_percentage / 100;
  return { share, threshold, failures, stillToEnd, isReached: stillToEnd === 0 && share >= threshold };
};
