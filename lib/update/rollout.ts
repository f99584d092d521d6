import * as z from 'zod/mini';

const PerMinute = z.int().check(z.minimum(1), z.maximum(1_000_000));

const rollout = {
  maximum_per_minute: PerMinute.check(z.meta({ description: 'Commands sent per minute, at most' })),
  maximum_in_progress: z
    .nullable(z.int().check(z.minimum(1), z.maximum(10_000_000)))
    .check(z.meta({ description: 'Devices asked and not yet finished, at most; null: no limit' })),
  exponential: z
    .nullable(
      z.strictObject({
        base_per_minute: PerMinute,
        increment_factor: z.number().check(z.gt(1), z.maximum(5)),
        after_succeeded: z.int().check(z.minimum(1), z.meta({ description: 'The rate grows each time so many more have succeeded' })),
      }),
    )
    .check(z.meta({ description: 'A rate that grows with success, up to maximum_per_minute; null: off' })),
  maximum_unavailable_percentage: z.number().check(
    z.gt(0),
    z.maximum(100),
    z.meta({
      description:
        'While more than so many per cent of the devices of a zone are at work, on whatever update, this one asks no more of them; at least ' +
        'one device always may be. A lower percentage of the zone itself holds as well. Devices without a zone are a zone of their own',
    }),
  ),
};

export const Rollout = z.strictObject({
  maximum_per_minute: z._default(rollout.maximum_per_minute, 30_000),
  maximum_in_progress: z._default(rollout.maximum_in_progress, null),
  exponential: z._default(rollout.exponential, null),
  maximum_unavailable_percentage: z._default(rollout.maximum_unavailable_percentage, 100),
});
export type Rollout = z.output<typeof Rollout>;
/** AWS IoT Jobs' exponential rate: it starts at `base_per_minute` and grows by the factor each time so many more have succeeded. */
export type ExponentialRate = NonNullable<Rollout['exponential']>;
/** What is not named stays as it is. */
export const RolloutChange = z.partial(z.strictObject(rollout));
