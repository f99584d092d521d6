import * as z from 'zod';
import { Comment, FirmwareId, FirmwareVersion, HardwareTypeName, Timestamp } from '../firmware/firmware.ts';
import { DeviceKind, ExternalId } from '../fleet/device.ts';
import { executionStatuses } from './execution.ts';

/**
 * Update status (design.md section 2). SCHEDULED until the first step of its walk, IN_PROGRESS while executions are unfinished, then
 * COMPLETED.
 */
export const updateStatuses = ['SCHEDULED', 'IN_PROGRESS', 'PAUSED', 'COMPLETED', 'CANCELED', 'ABORTED'] as const;
export type UpdateStatus = (typeof updateStatuses)[number];

export const isEnded = (status: UpdateStatus): boolean => status === 'COMPLETED' || status === 'CANCELED' || status === 'ABORTED';

/** Whether a device takes part in an update, and why not. */
export const eligibilities = [
  'ELIGIBLE',
  'ALREADY_ON_TARGET',
  'UNKNOWN_DEVICE',
  'HARDWARE_MISMATCH',
  'UPDATE_IN_FLIGHT',
  'DOWNGRADE',
] as const;
export type Eligibility = (typeof eligibilities)[number];

/** Devices named one by one in a request; more are chosen by a filter. */
const maximumTargets = 10_000;

const NamedDevices = z.strictObject({
  kind: DeviceKind.default('scooter'),
  external_ids: z.array(ExternalId).min(1).max(maximumTargets),
});

const Running = z.union([
  z.strictObject({ hardware_type: HardwareTypeName, version: FirmwareVersion }),
  z.strictObject({ hardware_type: HardwareTypeName, firmware_id: FirmwareId }),
]);

const DeviceFilter = z.strictObject({
  filter: z.strictObject({
    kind: DeviceKind.default('scooter'),
    version: z.union([z.literal(1), z.literal(2)]).optional(),
    running: Running.optional().meta({ description: 'Only devices that run this version now' }),
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

export const kindOf = (targets: Targets): DeviceKind => ('filter' in targets ? targets.filter.kind : targets.kind);

export const Rollout = z.strictObject({
  maximum_per_minute: z.int().min(1).max(1_000_000).default(30_000).meta({ description: 'Commands sent per minute, at most' }),
  maximum_in_progress: z
    .int()
    .min(1)
    .max(10_000_000)
    .nullable()
    .default(null)
    .meta({ description: 'Devices asked and not yet finished, at most; null: no limit' }),
});
export type Rollout = z.output<typeof Rollout>;

export const UpdateRequest = z.strictObject({
  firmware_id: FirmwareId,
  targets: Targets,
  rollout: Rollout.prefault({}),
  allow_downgrade: z.boolean().default(false).meta({ description: 'Also devices that run a higher version_num' }),
  comment: Comment.default(''),
});
export type UpdateRequest = z.output<typeof UpdateRequest>;

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
    status: z.enum(updateStatuses),
    counts: Counts,
    not_eligible: Exclusions,
    progress: z.number().meta({ description: 'Share of the executions that have ended, 0 to 1' }),
    rollout: z.object({ maximum_per_minute: z.int(), maximum_in_progress: z.int().nullable() }),
    allow_downgrade: z.boolean(),
    comment: z.string(),
    created_by: z.string(),
    request_id: z.string(),
    created_dt: Timestamp,
    started_dt: Timestamp.nullable(),
    finished_dt: Timestamp.nullable(),
  })
  .meta({ id: 'Update' });
export type Update = z.infer<typeof Update>;
export type Counts = Update['counts'];

export const noCounts = (): Counts => Object.fromEntries(executionStatuses.map((status) => [status, 0])) as Counts;

export const progressOf = (counts: Counts): number => {
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
  return all === 0 ? 1 : (all - counts.QUEUED - counts.IN_PROGRESS) / all;
};
