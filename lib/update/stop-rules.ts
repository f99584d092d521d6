import * as z from 'zod';
import { type FailureType, failureTypes } from './execution.ts';
import type { Counts } from './update.ts';

/** Ends of an execution that count as failures; ALL means every one of them. */
export const FailureTypes = z
  .array(z.enum([...failureTypes, 'ALL']))
  .min(1)
  .transform((types): FailureType[] => (types.includes('ALL') ? [...failureTypes] : [...new Set(types as FailureType[])]));

/** The names of AWS IoT Jobs' abort criteria. */
export const StopRule = z.strictObject({
  failure_types: FailureTypes.prefault(['ALL']),
  threshold_percentage: z.number().gt(0).max(100).meta({ description: 'Share of failures among the executions that have ended' }),
  minimum_executions: z.int().min(1).meta({ description: 'Ended executions before the rule is judged' }),
  action: z.enum(['ABORT', 'PAUSE']).default('ABORT'),
});
export type StopRule = z.output<typeof StopRule>;

/** Catches what the canary could not: at a true failure rate of 2 %, about 3 of 100,000 updates are stopped in vain. */
export const defaultStopRules: StopRule[] = [
  { failure_types: [...failureTypes], threshold_percentage: 10, minimum_executions: 100, action: 'ABORT' },
];

export const Canary = z
  .strictObject({
    size: z.int().min(1).max(100_000).optional(),
    percentage: z.number().gt(0).max(100).optional(),
    minimum_wait_minutes: z.number().min(0).max(10_080).default(0).meta({ description: 'From the first command to the start of the rest' }),
    success_percentage: z.number().gt(0).max(100).default(90).meta({ description: 'Share of the canary that has to succeed' }),
  })
  .refine(({ size, percentage }) => (size === undefined) !== (percentage === undefined), { error: 'needs either size or percentage' });
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

/**
 * The first rule that is met by the executions that have ended. Those that were on the target version before count for nothing.
 */
export const findStop = (rules: readonly StopRule[], counts: Counts, alreadyOnTarget: number): Stop | undefined => {
  const succeeded = counts.SUCCEEDED - alreadyOnTarget;
  const ended = succeeded + counts.FAILED + counts.TIMED_OUT + counts.REJECTED;
  for (const { failure_types, threshold_percentage, minimum_executions, action } of rules) {
    const failed = failure_types.reduce((sum, type) => sum + counts[type], 0);
    if (ended >= minimum_executions && failed * 100 >= threshold_percentage * ended) {
      return { action, reason: `FAILURE_RATE: ${failed} of ${ended} ended as ${failure_types.join(' or ')}` };
    }
  }
  return undefined;
};

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
