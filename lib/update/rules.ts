import * as z from 'zod/mini';
import { type FailureType, failureTypes } from './execution.ts';

/** The statuses that a rule counts as failures; ALL means every failure. */
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

/** For what the canary does not find. At a true failure rate of 2 %, about 3 of 100,000 updates are stopped without need. */
export const defaultStopRules: StopRule[] = [
  { failure_types: [...failureTypes], threshold_percentage: 10, minimum_executions: 100, action: 'ABORT' },
];

/** For a canary whose request says nothing more. */
export const canaryDefaults = { minimum_wait_minutes: 0, success_percentage: 90 };

export const Canary = z
  .strictObject({
    size: z.optional(z.int().check(z.minimum(1), z.maximum(100_000))),
    percentage: z.optional(z.number().check(z.gt(0), z.maximum(100))),
    minimum_wait_minutes: z
      ._default(z.number().check(z.minimum(0), z.maximum(10_080)), canaryDefaults.minimum_wait_minutes)
      .check(z.meta({ description: 'From the first command to the start of the rest' })),
    success_percentage: z
      ._default(z.number().check(z.gt(0), z.maximum(100)), canaryDefaults.success_percentage)
      .check(z.meta({ description: 'Share of the canary that has to succeed' })),
  })
  .check(
    z.refine(({ size, percentage }) => (size === undefined) !== (percentage === undefined), { error: 'needs either size or percentage' }),
    z.meta({ oneOf: [{ required: ['size'] }, { required: ['percentage'] }] }),
  );
export type Canary = z.output<typeof Canary>;

/** What is done with devices that run a version that is in no catalogue. */
export const UnknownVersion = z.enum(['INCLUDE', 'EXCLUDE']);
export type UnknownVersion = z.infer<typeof UnknownVersion>;
