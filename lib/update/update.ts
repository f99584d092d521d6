import * as z from 'zod/mini';
import { Comment, FirmwareId, firmwareStatuses, HardwareTypeName, RequestedTimestamp, Timestamp } from '../firmware/firmware.ts';
import { DeviceKind, ExternalId } from '../fleet/device.ts';
import { deviceFilter } from '../fleet/device-filter.ts';
import { GroupName } from '../fleet/group.ts';
import { MaintenanceWindow } from '../fleet/maintenance-window.ts';
import { NamedDevices } from '../fleet/named-devices.ts';
import { ExecutionCounts, type ExecutionStatus, executionStatuses } from './execution.ts';
import { Canary, defaultStopRules, FailureTypes, StopRule } from './rules.ts';
import { ShownGate } from './shown-gate.ts';
import { updateStatuses } from './update-status.ts';

/** Whether a device takes part in an update, and why not. */
export const eligibilities = [
  'ELIGIBLE',
  'ELIGIBLE_UNKNOWN_VERSION',
  'ALREADY_ON_TARGET',
  'UNKNOWN_DEVICE',
  'RETIRED_DEVICE',
  'HARDWARE_MISMATCH',
  'UPDATE_IN_FLIGHT',
  'DOWNGRADE',
  'REQUIRES_NEWER',
  'BLOCKED',
  'UNKNOWN_VERSION',
  'FIRMWARE_NOT_AVAILABLE',
] as const;
export type Eligibility = (typeof eligibilities)[number];

/** Devices that are updated. In the second case the device runs a version that is not in the catalogue: nobody knows which is newer. */
export const eligibleCases = ['ELIGIBLE', 'ELIGIBLE_UNKNOWN_VERSION'] as const satisfies readonly Eligibility[];

/** How many devices are updated, given how many have each eligibility. */
export const countEligible = (planned: Partial<Record<Eligibility, number>>): number =>
  eligibleCases.reduce((sum, name) => sum + (planned[name] ?? 0), 0);

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

/** A device that was chosen and does not take part. */
export const Exclusion = z
  .object({ kind: DeviceKind, external_id: ExternalId, reason: z.enum(eligibilities) })
  .register(z.globalRegistry, { id: 'Exclusion' });
export type Exclusion = z.infer<typeof Exclusion>;

const Counts = ExecutionCounts.check(z.meta({ description: 'Executions by status' }));
const Exclusions = z
  .partialRecord(z.enum(eligibilities), z.int())
  .check(z.meta({ description: 'Devices that were chosen and do not take part, by reason' }));

export const Update = z
  .object({
    id: z.int(),
    firmware_id: FirmwareId,
    hardware_type: HardwareTypeName,
    firmware_version: z.string(),
    firmware_status: z
      .enum(firmwareStatuses)
      .check(
        z.meta({ description: 'withdrawn: devices that were not asked yet will not be; lost: they wait until its file is there again' }),
      ),
    status: z.enum(updateStatuses),
    reason: z.nullable(z.string()).check(z.meta({ description: 'Why it was paused, canceled or aborted' })),
    counts: Counts,
    not_eligible: Exclusions,
    progress: z.number().check(z.meta({ description: 'Share of the eligible devices whose execution has ended, 0 to 1' })),
    late_successes: z
      .int()
      .check(z.meta({ description: 'Executions that ended without success, whose devices were later seen to run the wanted version' })),
    rollout: Rollout,
    canary: z
      .nullable(
        z.object({
          size: z.int(),
          percentage: z
            .optional(z.number())
            .check(z.meta({ description: 'The share of the devices that was asked for, if it was not a number' })),
          minimum_wait_minutes: z.number(),
          success_percentage: z.number(),
        }),
      )
      .check(z.meta({ description: 'null: none' })),
    canary_started_dt: z.nullable(Timestamp),
    canary_passed_dt: z.nullable(Timestamp),
    abort: z.array(
      z.object({ failure_types: z.array(z.string()), threshold_percentage: z.number(), minimum_executions: z.int(), action: z.string() }),
    ),
    timeouts: z.object({ queued_minutes: z.number(), in_progress_minutes: z.number() }),
    retry: z.object({ number_of_retries: z.int(), failure_types: z.array(z.string()) }),
    retry_of_update_id: z.nullable(z.int()).check(z.meta({ description: 'The update whose failed devices this one tries again' })),
    start_dt: z.nullable(Timestamp),
    window: z
      .nullable(MaintenanceWindow)
      .check(z.meta({ description: 'Devices are asked only within it, in the local time of their zone; null: at any time' })),
    ignore_window: z.boolean().check(z.meta({ description: 'Also outside the windows of zones' })),
    allow_downgrade: z.boolean(),
    force: z.boolean(),
    unknown_version: UnknownVersion,
    approval: z
      .nullable(
        z.object({
          decision: z.nullable(z.enum(['APPROVED', 'REJECTED'])).check(z.meta({ description: 'null: nobody has decided' })),
          decided_by: z.nullable(z.string()),
          decided_dt: z.nullable(Timestamp),
          remark: z.nullable(z.string()),
        }),
      )
      .check(z.meta({ description: 'Of an update that somebody else than who requested it has to approve; null: nobody has to' })),
    comment: z.string(),
    created_by: z.string(),
    request_id: z.string(),
    created_dt: Timestamp,
    started_dt: z.nullable(Timestamp),
    finished_dt: z.nullable(Timestamp).check(z.meta({ description: 'When the last execution had ended' })),
    executions_removed_dt: z.nullable(Timestamp).check(
      z.meta({
        description:
          'Since when its executions and exclusions are no longer kept, because the update ended so long ago. Its counts and reasons stay. null: all of them are there',
      }),
    ),
    walk: z
      .object({
        due_dt: z
          .nullable(Timestamp)
          .check(z.meta({ description: 'When the next step is due; null: there is none, the update has finished' })),
        is_late: z.boolean().check(
          z.meta({
            description:
              'The step is more than five minutes late: its message is lost, or the service cannot work on it. `resume`, any other ' +
              'control, or the request repeated with its Idempotency-Key sends its messages again',
          }),
        ),
      })
      .check(z.meta({ description: 'An update is carried out step by step' })),
  })
  .register(z.globalRegistry, { id: 'Update' });
export type Update = z.infer<typeof Update>;
export type Counts = Record<ExecutionStatus, number>;
export type Approval = NonNullable<Update['approval']>;
export type CanaryPlan = NonNullable<Update['canary']>;

/** What only the answer about one update has. */
export const UpdateDetail = z
  .extend(Update, {
    reasons: z
      .array(
        z.object({
          status: z.enum(executionStatuses),
          reason: z.nullable(z.string()),
          count: z.int(),
          texts: z
            .array(z.object({ text: z.string(), count: z.int() }))
            .check(z.meta({ description: 'In the words of the devices or the backend, the most frequent first, 5 at most' })),
        }),
      )
      .check(z.meta({ description: 'Executions by status and reason, the most frequent first, 50 at most' })),
    canary_counts: z.nullable(Counts).check(z.meta({ description: 'Of the canary alone: its executions by status; null: there is none' })),
    pace_per_minute: z.int().check(z.meta({ description: 'Commands sent in the last 60 s' })),
    at_work: z
      .nullable(
        z.object({
          since_dt: Timestamp.check(z.meta({ description: 'When the first of them was asked' })),
          deadline_dt: Timestamp.check(
            z.meta({
              description:
                'The deadline of the last of them. A device that is silent until its deadline is asked once more what it runs, then it is ' +
                'TIMED_OUT. Time in which the service or the backend was away is added to it',
            }),
          ),
        }),
      )
      .check(z.meta({ description: 'The devices that were asked and have not shown what they run; null: there are none' })),
    estimated_end_dt: z.nullable(Timestamp).check(
      z.meta({
        description:
          'At the pace of the last minutes. Once every device was asked: by the slowest of the devices that ended lately, or ' +
          '`at_work.deadline_dt` when a device has been silent for longer. null: it has ended, is paused, waits for its canary, or nothing moves',
      }),
    ),
    backend_errors: z
      .array(z.object({ error: z.string(), calls: z.int(), last_dt: Timestamp }))
      .check(z.meta({ description: 'Failed calls to the backend by text' })),
    backend_gate: ShownGate,
  })
  .register(z.globalRegistry, { id: 'UpdateDetail' });
export type UpdateDetail = z.infer<typeof UpdateDetail>;

/** The share of executions that have ended, 0 to 1. Devices that were on the target version before do not count. */
export const progressOf = (counts: Counts, alreadyOnTarget = 0): number => {
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0) - alreadyOnTarget;
  return all === 0 ? 1 : (all - counts.QUEUED - counts.IN_PROGRESS) / all;
};
