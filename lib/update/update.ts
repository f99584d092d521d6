import * as z from 'zod';
import { Comment, FirmwareId, FirmwareVersion, firmwareStatuses, HardwareTypeName, Timestamp } from '../firmware/firmware.ts';
import { DeviceKind, ExternalId } from '../fleet/device.ts';
import { pageOf } from '../http/page.ts';
import { type ExecutionStatus, executionStatuses } from './execution.ts';
import { Canary, defaultStopRules, FailureTypes, StopRule } from './stop-rules.ts';
import { updateStatuses } from './update-status.ts';

/** Whether a device takes part in an update, and why not. */
export const eligibilities = [
  'ELIGIBLE',
  'ALREADY_ON_TARGET',
  'UNKNOWN_DEVICE',
  'HARDWARE_MISMATCH',
  'UPDATE_IN_FLIGHT',
  'DOWNGRADE',
  'REQUIRES_NEWER',
  'BLOCKED',
  'FIRMWARE_NOT_AVAILABLE',
] as const;
export type Eligibility = (typeof eligibilities)[number];

/** Devices named one by one in a request; more are chosen by a filter. */
const maximumTargets = 10_000;

export const NamedDevices = z.strictObject({
  kind: DeviceKind.default('scooter'),
  external_ids: z.array(ExternalId).min(1).max(maximumTargets),
});

export const Running = z.union([
  z.strictObject({ hardware_type: HardwareTypeName, version: FirmwareVersion }),
  z.strictObject({ hardware_type: HardwareTypeName, firmware_id: FirmwareId }),
]);

const DeviceFilter = z.strictObject({
  filter: z.strictObject({
    kind: DeviceKind.default('scooter'),
    version: z.union([z.literal(1), z.literal(2)]).optional(),
    running: Running.optional().meta({ description: 'Only devices that run this version now' }),
    failed_in_update_id: z
      .int()
      .min(1)
      .max(2_147_483_647)
      .optional()
      .meta({ description: 'Only devices whose execution in this update has ended without success' }),
    percentage: z
      .number()
      .gt(0)
      .max(100)
      .optional()
      .meta({ description: 'A sample of so many per cent: always the same devices, and a larger one contains a smaller one' }),
  }),
});

export const Targets = z.union([NamedDevices, DeviceFilter]);
export type Targets = z.output<typeof Targets>;

const FutureTimestamp = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

const PerMinute = z.int().min(1).max(1_000_000);

export const Rollout = z.strictObject({
  maximum_per_minute: PerMinute.default(30_000).meta({ description: 'Commands sent per minute, at most' }),
  maximum_in_progress: z
    .int()
    .min(1)
    .max(10_000_000)
    .nullable()
    .default(null)
    .meta({ description: 'Devices asked and not yet finished, at most; null: no limit' }),
  exponential: z
    .strictObject({
      base_per_minute: PerMinute,
      increment_factor: z.number().gt(1).max(5),
      after_succeeded: z.int().min(1).meta({ description: 'The rate grows each time so many more have succeeded' }),
    })
    .nullable()
    .default(null)
    .meta({ description: 'A rate that grows with success, up to maximum_per_minute; null: off' }),
});
export type Rollout = z.output<typeof Rollout>;

const Timeouts = z.strictObject({
  queued_minutes: z
    .number()
    .min(0.1)
    .max(525_600)
    .default(10_080)
    .meta({ description: 'From the start of the update until the device was asked' }),
  in_progress_minutes: z
    .number()
    .min(0.1)
    .max(43_200)
    .default(60)
    .meta({ description: 'From a command until the version wanted was seen' }),
});

const Retry = z.strictObject({
  number_of_retries: z.int().min(0).max(10).default(0),
  failure_types: FailureTypes.prefault(['FAILED', 'TIMED_OUT']),
});

export const UpdateRequest = z
  .strictObject({
    firmware_id: FirmwareId,
    targets: Targets,
    rollout: Rollout.prefault({}),
    canary: Canary.nullable().optional().meta({
      description: 'Devices asked before all others. Default: 0.5 % but at least 50, for updates of 200 devices or more; null: none',
    }),
    abort: z
      .union([StopRule.transform((rule) => [rule]), z.array(StopRule).max(10)])
      .default(defaultStopRules)
      .meta({ description: 'Rules that stop the update, judged each time executions have ended' }),
    timeouts: Timeouts.prefault({}),
    retry: Retry.prefault({}),
    start_dt: FutureTimestamp.nullable().default(null).meta({ description: 'No device is asked before' }),
    allow_downgrade: z.boolean().default(false).meta({ description: 'Also devices that run a higher version_num; needs a comment' }),
    force: z.boolean().default(false).meta({ description: 'Also devices that failed this firmware three times' }),
    comment: Comment.default(''),
  })
  .refine(({ allow_downgrade, comment }) => !allow_downgrade || comment.trim() !== '', {
    path: ['comment'],
    error: 'is needed with allow_downgrade',
  });
export type UpdateRequest = z.output<typeof UpdateRequest>;

/** A page of a dry run: the devices of one reason. */
export const DryRunPage = z.strictObject({
  reason: z.enum(eligibilities),
  limit: z.int().min(1).max(500).default(100),
  cursor: z.string().max(512).optional(),
});
export type DryRunPage = z.output<typeof DryRunPage>;

const DryRunDevice = z.object({
  external_id: z.string(),
  other_update_id: z.int().nullable().meta({ description: 'The update that has this device in flight' }),
});

/** What an update with a package does to its parts on the devices that would be updated. */
const PartChanges = z
  .object({
    firmware_id: FirmwareId,
    hardware_type: HardwareTypeName,
    version: z.string(),
    version_num: z.int(),
    changes: z.array(
      z.object({
        change: z.enum(['NONE', 'UPGRADE', 'DOWNGRADE', 'UNKNOWN']).meta({
          description: 'NONE: they run it already; UNKNOWN: what they run is not known, or in no catalogue',
        }),
        from_version: z.string().nullable(),
        from_version_num: z.int().nullable(),
        count: z.int().meta({ description: 'Devices' }),
      }),
    ),
  })
  .meta({ id: 'PartChanges' });
export type PartChanges = z.infer<typeof PartChanges>;

export const DryRun = z
  .object({
    eligible: z.int().meta({ description: 'Devices that would be updated' }),
    reasons: z
      .array(z.object({ reason: z.enum(eligibilities), count: z.int(), devices: z.array(DryRunDevice) }))
      .meta({ description: 'Every reason with its number of devices and the first 100 of them' }),
    parts: z.array(PartChanges).meta({ description: 'Of a package: what would change of each of its parts, on the eligible devices' }),
  })
  .meta({ id: 'DryRun' });
export type DryRun = z.infer<typeof DryRun>;

export const DryRunDevices = pageOf(DryRunDevice).meta({ id: 'DryRunDevices' });
export type DryRunDevices = z.infer<typeof DryRunDevices>;

const Counts = z.record(z.enum(executionStatuses), z.int()).meta({ description: 'Executions by status' });
const Exclusions = z
  .partialRecord(z.enum(eligibilities), z.int())
  .meta({ description: 'Devices that were chosen and do not take part, by reason' });

export const Update = z
  .object({
    id: z.int(),
    firmware_id: FirmwareId,
    hardware_type: HardwareTypeName,
    firmware_version: z.string(),
    firmware_status: z.enum(firmwareStatuses).meta({ description: 'withdrawn: devices that were not asked yet will not be' }),
    status: z.enum(updateStatuses),
    reason: z.string().nullable().meta({ description: 'Why it was paused, canceled or aborted' }),
    counts: Counts,
    not_eligible: Exclusions,
    progress: z.number().meta({ description: 'Share of the eligible devices whose execution has ended, 0 to 1' }),
    late_successes: z
      .int()
      .meta({ description: 'Executions that ended otherwise and whose device was later seen running the version wanted' }),
    rollout: Rollout,
    canary: z
      .object({ size: z.int(), minimum_wait_minutes: z.number(), success_percentage: z.number() })
      .nullable()
      .meta({ description: 'null: none' }),
    canary_started_dt: Timestamp.nullable(),
    canary_passed_dt: Timestamp.nullable(),
    abort: z.array(
      z.object({ failure_types: z.array(z.string()), threshold_percentage: z.number(), minimum_executions: z.int(), action: z.string() }),
    ),
    timeouts: z.object({ queued_minutes: z.number(), in_progress_minutes: z.number() }),
    retry: z.object({ number_of_retries: z.int(), failure_types: z.array(z.string()) }),
    retry_of_update_id: z.int().nullable().meta({ description: 'The update whose failed devices this one tries again' }),
    start_dt: Timestamp.nullable(),
    allow_downgrade: z.boolean(),
    force: z.boolean(),
    comment: z.string(),
    created_by: z.string(),
    request_id: z.string(),
    created_dt: Timestamp,
    started_dt: Timestamp.nullable(),
    finished_dt: Timestamp.nullable().meta({ description: 'When the last execution had ended' }),
  })
  .meta({ id: 'Update' });
export type Update = z.infer<typeof Update>;
export type Counts = Record<ExecutionStatus, number>;

/** What only the answer about one update has. */
export const UpdateDetail = Update.extend({
  reasons: z
    .array(
      z.object({
        status: z.enum(executionStatuses),
        reason: z.string().nullable(),
        count: z.int(),
        texts: z
          .array(z.object({ text: z.string(), count: z.int() }))
          .meta({ description: 'In the words of the devices or the backend, the most frequent first, 5 at most' }),
      }),
    )
    .meta({ description: 'Executions by status and reason, the most frequent first, 50 at most' }),
  canary_counts: Counts.nullable().meta({ description: 'Of the canary alone: its executions by status; null: there is none' }),
  pace_per_minute: z.int().meta({ description: 'Commands sent in the last 60 s' }),
  estimated_end_dt: Timestamp.nullable().meta({
    description: 'At the pace of the last minutes; null when it has ended, is paused, waits for its canary, or nothing moves',
  }),
  backend_errors: z
    .array(z.object({ error: z.string(), calls: z.int(), last_dt: Timestamp }))
    .meta({ description: 'Failed calls to the backend by text' }),
}).meta({ id: 'UpdateDetail' });
export type UpdateDetail = z.infer<typeof UpdateDetail>;

export const noCounts = (): Counts => Object.fromEntries(executionStatuses.map((status) => [status, 0])) as Counts;

/** Devices that were on the target version before are no progress. */
export const progressOf = (counts: Counts, alreadyOnTarget = 0): number => {
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0) - alreadyOnTarget;
  return all === 0 ? 1 : (all - counts.QUEUED - counts.IN_PROGRESS) / all;
};
