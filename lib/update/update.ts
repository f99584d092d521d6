import * as z from 'zod/mini';
import { FirmwareId, firmwareStatuses, HardwareTypeName, Timestamp } from '../firmware/firmware.ts';
import { DeviceKind, ExternalId } from '../fleet/device.ts';
import { MaintenanceWindow } from '../fleet/maintenance-window.ts';
import { ExecutionCounts, type ExecutionStatus, executionStatuses } from './execution.ts';
import { Rollout } from './rollout.ts';
import { UnknownVersion } from './rules.ts';
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

/** A device that was chosen and does not take part. */
export const Exclusion = z
  .object({
    kind: DeviceKind,
    external_id: ExternalId,
    reason: z.enum(eligibilities),
    detail: z.nullable(z.string()).check(
      z.meta({
        description: 'Of HARDWARE_MISMATCH: the revision that the device had and those that the firmware did fit, if this was why',
        example: 'revision B1, fits B2, B3',
      }),
    ),
  })
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
    continuous: z.boolean().check(z.meta({ description: 'Whether it takes in devices that come to match later' })),
    targets: z
      .nullable(
        z.union([
          z.object({ filter: z.record(z.string(), z.unknown()) }),
          z.object({ group: z.string(), percentage: z.optional(z.number()) }),
        ]),
      )
      .check(
        z.meta({
          description:
            'Of a continuous update: which devices it means, as in the request. null: it has the devices that it was requested for',
        }),
      ),
    replaces_update_id: z
      .nullable(z.int())
      .check(z.meta({ description: 'The continuous update that this one has ended, or ends when it is approved' })),
    rests_dt: z.nullable(Timestamp).check(
      z.meta({
        description:
          'Of a continuous update: since when it has nothing to do but to wait, for devices that come to match or for a window that opens. null: it is at work, or not continuous',
      }),
    ),
    retry_of_update_id: z.nullable(z.int()).check(z.meta({ description: 'The update whose failed devices this one tries again' })),
    start_dt: z.nullable(Timestamp),
    window: z
      .nullable(MaintenanceWindow)
      .check(z.meta({ description: 'Devices are asked only within it, in the local time of their zone; null: at any time' })),
    ignore_window: z.boolean().check(z.meta({ description: 'Also outside the windows of zones' })),
    allow_downgrade: z.boolean(),
    force: z.boolean(),
    supersede: z.boolean().check(z.meta({ description: 'Whether it has taken the place of older updates' })),
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
        due_dt: z.nullable(Timestamp).check(
          z.meta({
            description:
              'When the next step is due; null: there is none, the update has finished, or it rests until a device comes to match',
          }),
        ),
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
    claimed: z.int().check(
      z.meta({
        description:
          'Of one that supersedes: devices that it has yet to take over from older updates. Those that wait there are not asked any more, and ' +
          'follow within seconds, or a minute or two for a million; before that it asks nobody. Those at work there follow when they have ended',
      }),
    ),
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

/** The share of executions that have ended, 0 to 1. Those of devices that were on the target version before do not count. */
export const progressOf = (counts: Counts, alreadyOnTarget: number): number => {
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0) - alreadyOnTarget;
  return all === 0 ? 1 : (all - counts.QUEUED - counts.IN_PROGRESS) / all;
};
