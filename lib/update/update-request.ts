import * as z from 'zod/mini';
import { Comment, FirmwareId, RequestedTimestamp } from '../firmware/firmware.ts';
import { DeviceKind } from '../fleet/device.ts';
import { deviceFilter } from '../fleet/device-filter.ts';
import { GroupName } from '../fleet/group.ts';
import { MaintenanceWindow } from '../fleet/maintenance-window.ts';
import { NamedDevices } from '../fleet/named-devices.ts';
import { Canary, defaultStopRules, FailureTypes, StopRule } from './rules.ts';

/** What is done with devices that run a version that is in no catalogue. */
export const UnknownVersion = z.enum(['INCLUDE', 'EXCLUDE']);
export type UnknownVersion = z.infer<typeof UnknownVersion>;

const FilteredDevices = z.strictObject({
  filter: z
    .strictObject({ ...deviceFilter, kind: z._default(DeviceKind, 'scooter') })
    .check(z.meta({ description: 'Those that fulfil all of these conditions' })),
});

const GroupedDevices = z.strictObject({
  group: GroupName.check(z.meta({ description: 'The members that this group has when the update is requested' })),
  percentage: deviceFilter.percentage,
});

export const Targets = z.union([NamedDevices, FilteredDevices, GroupedDevices]);
export type Targets = z.output<typeof Targets>;
export type NamedTargets = z.output<typeof NamedDevices>;

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

const Timeouts = z.strictObject({
  queued_minutes: z
    ._default(z.number().check(z.minimum(0.1), z.maximum(525_600)), 10_080)
    .check(z.meta({ description: 'From the start of the update until the device was asked' })),
  in_progress_minutes: z
    ._default(z.number().check(z.minimum(0.1), z.maximum(43_200)), 60)
    .check(z.meta({ description: 'From a command until the version wanted was seen' })),
});

const Retry = z.strictObject({
  number_of_retries: z._default(z.int().check(z.minimum(0), z.maximum(10)), 0),
  failure_types: z.prefault(FailureTypes, ['FAILED', 'TIMED_OUT']),
});

export const UpdateRequest = z
  .strictObject({
    firmware_id: FirmwareId,
    targets: Targets,
    rollout: z.prefault(Rollout, {}),
    canary: z.optional(z.nullable(Canary)).check(
      z.meta({
        description: 'Devices asked before all others. Default: 0.5 % but at least 50, for updates of 200 devices or more; null: none',
      }),
    ),
    abort: z
      ._default(
        z.union([
          z.pipe(
            StopRule,
            z.transform((rule) => [rule]),
          ),
          z.array(StopRule).check(z.maxLength(10)),
        ]),
        defaultStopRules,
      )
      .check(z.meta({ description: 'Rules that stop the update, judged each time executions have ended' })),
    timeouts: z.prefault(Timeouts, {}),
    retry: z.prefault(Retry, {}),
    start_dt: z._default(z.nullable(RequestedTimestamp), null).check(z.meta({ description: 'No device is asked before' })),
    window: z._default(z.nullable(MaintenanceWindow), null).check(
      z.meta({
        description:
          'Devices are asked only within it, in the local time of their zone (UTC without one), and only within the window of the zone as ' +
          'well, if it has one. Who is at work when it closes finishes. null: at any time that the zone allows',
      }),
    ),
    ignore_window: z
      ._default(z.boolean(), false)
      .check(z.meta({ description: 'For emergencies: also outside the windows of zones; needs a comment' })),
    allow_downgrade: z
      ._default(z.boolean(), false)
      .check(z.meta({ description: 'Also devices that run a higher version_num; needs a comment' })),
    force: z
      ._default(z.boolean(), false)
      .check(z.meta({ description: 'Also devices that failed this firmware three times, in updates whose executions are still kept' })),
    unknown_version: z._default(UnknownVersion, 'INCLUDE').check(
      z.meta({
        description:
          'Devices that run a version that is in no catalogue: INCLUDE updates them too (ELIGIBLE_UNKNOWN_VERSION in the dry run), ' +
          'EXCLUDE leaves them out (UNKNOWN_VERSION)',
      }),
    ),
    comment: z._default(Comment, ''),
  })
  .check(
    z.refine(({ allow_downgrade, comment }) => !allow_downgrade || comment.trim() !== '', {
      path: ['comment'],
      error: 'is needed with allow_downgrade',
    }),
    z.refine(({ ignore_window, comment }) => !ignore_window || comment.trim() !== '', {
      path: ['comment'],
      error: 'is needed with ignore_window',
    }),
    z.refine(({ ignore_window, window }) => !ignore_window || window === null, {
      path: ['window'],
      error: 'contradicts ignore_window',
    }),
    z.meta({
      if: { properties: { allow_downgrade: { const: false }, ignore_window: { const: false } } },
      else: { properties: { comment: { pattern: '\\S' } }, required: ['comment'] },
      not: { properties: { ignore_window: { const: true }, window: { type: 'object' } }, required: ['ignore_window', 'window'] },
    }),
  );
export type UpdateRequest = z.output<typeof UpdateRequest>;
