import { type ExecutionStatus, failureTypes } from '../execution.ts';
import type { StopRule } from '../rules.ts';
import type { Counts } from '../update.ts';
import type { ResumedCounts } from '../update-queries.ts';

export interface Stop {
  action: 'ABORT' | 'PAUSE';
  reason: string;
}

export interface Judged {
  /** Executions by status now. */
  counts: Counts;
  /** Executions that succeeded before anybody asked their device, because it ran the version already; rules do not count them. */
  alreadyOnTarget: number;
  /** null: no admin has resumed the update. */
  resumedCounts: ResumedCounts | null;
  /** Of a continuous update, which is judged by its last ends; missing: of all. */
  lastEnds?: LastEnds | undefined;
}

/** Counts, by status, of the last ends, and of those of them that came after the last resume. */
export interface LastEnds {
  all: Partial<Counts>;
  sinceResume: Partial<Counts>;
}

/** A continuous update may be open for years: what happened to its first devices says nothing about its firmware today. */
export const judgedEnds = 1_000;

/**
 * The first rule that is met. A rule is judged once enough executions have ended, by the share of failures among all devices that were asked.
 * Devices at work count as not failed. A share of those that have *ended* would mislead: devices often fail within a moment but need minutes
 * to install, so that soon after the start nearly all ends may be failures.
 *
 * A rule that pauses asks the admin, and a resume is the answer: from then on it judges only what has ended since.
 */
export const findStop = (rules: readonly StopRule[], { counts, alreadyOnTarget, resumedCounts, lastEnds }: Judged): Stop | undefined => {
  for (const { failure_types, threshold_percentage, minimum_executions, action } of rules) {
    const isJudgedAnew = action === 'PAUSE' && resumedCounts !== null;
    const before = notJudged(alreadyOnTarget, isJudgedAnew ? resumedCounts : null);
    const last = lastEnds && (isJudgedAnew ? lastEnds.sinceResume : lastEnds.all);
    const endedAs = (status: ExecutionStatus) => (last ? (last[status] ?? 0) : Math.max(0, counts[status] - (before[status] ?? 0)));
    const ended = endedAs('SUCCEEDED') + sum(failureTypes, endedAs);
    const asked = ended + counts.IN_PROGRESS;
    const failed = sum(failure_types, endedAs);
    if (ended >= minimum_executions && failed * 100 >= threshold_percentage * asked) {
      const since = isJudgedAnew ? ' since the update was resumed' : '';
      return { action, reason: `FAILURE_RATE: ${failed} of ${asked} devices asked ended as ${failure_types.join(' or ')}${since}` };
    }
  }
  return undefined;
};

/** Ends that a rule does not judge: those before the last resume, and devices that ran the version already. */
export const notJudged = (alreadyOnTarget: number, resumedCounts: ResumedCounts | null): Partial<Counts> => {
  if (resumedCounts === null) return { SUCCEEDED: alreadyOnTarget };
  const { ALREADY_ON_TARGET: onTargetThen = alreadyOnTarget, ...ended } = resumedCounts;
  return { ...ended, SUCCEEDED: (ended.SUCCEEDED ?? 0) + alreadyOnTarget - onTargetThen };
};

const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((total, item) => total + of(item), 0);

export type CanaryVerdict = 'waiting' | 'passed' | 'failed';

export interface CanaryProgress {
  size: number;
  succeeded: number;
  failed: number;
  success_percentage: number;
  hasWaited: boolean;
}

/**
 * A canary passes as soon as enough of it have succeeded and the wait is over, so that a silent device does not hold up the others. It fails
 * as soon as so many have failed that it cannot pass any more.
 */
export const judgeCanary = ({ size, succeeded, failed, success_percentage, hasWaited }: CanaryProgress): CanaryVerdict => {
  const needed = Math.ceil((size * success_percentage) / 100);
  if (size - failed < needed) return 'failed';
  return succeeded >= needed && hasWaited ? 'passed' : 'waiting';
};
