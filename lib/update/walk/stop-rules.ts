import * as z from 'zod/mini';
import { type ExecutionStatus, type FailureType, failureTypes } from '../execution.ts';
import type { Counts } from '../update.ts';

/** Ends of an execution that count as failures; ALL means every one of them. */
export const FailureTypes = z.pipe(
  z.array(z.enum([...failureTypes, 'ALL'])).check(z.minLength(1)),
  z.transform((types): FailureType[] => (types.includes('ALL') ? [...failureTypes] : [...new Set(types as FailureType[])])),
);

/** The names of AWS IoT Jobs' abort criteria. */
export const StopRule = z.strictObject({
  failure_types: z.prefault(FailureTypes, ['ALL']),
  threshold_percentage: z
    .number()
    .check(
      z.gt(0),
      z.maximum(100),
      z.meta({ description: 'Share of failures among the devices that were asked: those that have ended and those at work' }),
    ),
  minimum_executions: z.int().check(z.minimum(1), z.meta({ description: 'Ended executions before the rule is judged' })),
  action: z._default(z.enum(['ABORT', 'PAUSE']), 'ABORT'),
});
export type StopRule = z.output<typeof StopRule>;

/** Catches what the canary could not: at a true failure rate of 2 %, about 3 of 100,000 updates are stopped in vain. */
export const defaultStopRules: StopRule[] = [
  { failure_types: [...failureTypes], threshold_percentage: 10, minimum_executions: 100, action: 'ABORT' },
];

export const Canary = z
  .strictObject({
    size: z.optional(z.int().check(z.minimum(1), z.maximum(100_000))),
    percentage: z.optional(z.number().check(z.gt(0), z.maximum(100))),
    minimum_wait_minutes: z
      ._default(z.number().check(z.minimum(0), z.maximum(10_080)), 0)
      .check(z.meta({ description: 'From the first command to the start of the rest' })),
    success_percentage: z
      ._default(z.number().check(z.gt(0), z.maximum(100)), 90)
      .check(z.meta({ description: 'Share of the canary that has to succeed' })),
  })
  .check(
    z.refine(({ size, percentage }) => (size === undefined) !== (percentage === undefined), { error: 'needs either size or percentage' }),
  );
export type Canary = z.output<typeof Canary>;

/** An update of fewer devices has no canary unless asked for: it would be most of the update. */
const smallestUpdateWithCanary = 200;
/** Few enough that a bad firmware touches less than 1 % of a fleet of 10,000, enough that 2 % of failures do not stop a good one. */
const defaultCanaryPercentage = 0.5;
const smallestDefaultCanary = 50;

/** How many devices are asked first; null: all at once. */
export const canarySizeOf = (canary: Canary | null | undefined, eligible: number): number | null => {
  if (canary === null) return null;
  if (canary === undefined) {
    if (eligible < smallestUpdateWithCanary) return null;
    return Math.max(smallestDefaultCanary, Math.ceil((eligible * defaultCanaryPercentage) / 100));
  }
  return Math.min(eligible, canary.size ?? Math.max(1, Math.ceil((eligible * (canary.percentage ?? 0)) / 100)));
};

export interface Stop {
  action: 'ABORT' | 'PAUSE';
  reason: string;
}

export interface Judged {
  /** Executions by status now. */
  counts: Counts;
  /** Executions that succeeded before anybody was asked; they count for nothing. */
  alreadyOnTarget: number;
  /** Executions by status when an admin last resumed the update; null: never. */
  resumedCounts: Partial<Counts> | null;
}

/**
 * The first rule that is met. It is judged once enough executions have ended, by the share of failures among all devices that were asked.
 * Those still at work count as not failed: a device often fails in a moment and installs in minutes, so that of those that have *ended*
 * soon after the start nearly all may have failed.
 *
 * A rule that pauses asks the admin, and a resume is the answer: from then on it judges only what has ended since.
 */
export const findStop = (rules: readonly StopRule[], { counts, alreadyOnTarget, resumedCounts }: Judged): Stop | undefined => {
  for (const { failure_types, threshold_percentage, minimum_executions, action } of rules) {
    const isJudgedAnew = action === 'PAUSE' && resumedCounts !== null;
    const before: Partial<Counts> = isJudgedAnew ? resumedCounts : { SUCCEEDED: alreadyOnTarget };
    const endedAs = (status: ExecutionStatus) => counts[status] - (before[status] ?? 0);
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
 * Passed as soon as enough have succeeded and the wait is over: a silent device does not hold up the rest. Failed as soon as too many
 * have failed for that.
 */
export const judgeCanary = ({ size, succeeded, failed, success_percentage, hasWaited }: CanaryProgress): CanaryVerdict => {
  const needed = Math.ceil((size * success_percentage) / 100);
  if (size - failed < needed) return 'failed';
  return succeeded >= needed && hasWaited ? 'passed' : 'waiting';
};
