import * as z from 'zod';
import { Comment, HardwareTypeName, Timestamp } from '../firmware/firmware.ts';
import { DeviceKind, ScooterVersion } from '../fleet/device.ts';
import { pageOf } from '../http/page.ts';
import { NamedDevices, Running } from '../update/update.ts';

/**
 * Observation status: IN_PROGRESS until every device was asked, then COMPLETED; FAILED when the backend refuses to list its devices,
 * so that nobody knows whom to ask.
 */
export const observationStatuses = ['IN_PROGRESS', 'COMPLETED', 'FAILED'] as const;
export type ObservationStatus = (typeof observationStatuses)[number];

export const ObservationFilter = z.strictObject({
  kind: DeviceKind.optional().meta({ description: 'Default: devices of every kind' }),
  version: ScooterVersion.optional(),
  running: Running.optional().meta({ description: 'Only devices that run this version, as far as is known' }),
});
export type ObservationFilter = z.output<typeof ObservationFilter>;

export const ObservationRequest = z
  .strictObject({
    targets: z.union([NamedDevices, z.strictObject({ filter: ObservationFilter })]),
    add_unknown: z
      .boolean()
      .default(false)
      .meta({
        description:
          'Add devices that the backend knows and this service does not: those among `external_ids`, or, with a filter, all that the ' +
          'backend lists. Devices that are known are not changed',
      }),
    maximum_per_minute: z.int().min(1).max(1_000_000).default(60_000).meta({ description: 'Devices asked per minute, at most' }),
    comment: Comment.default(''),
  })
  .refine(({ add_unknown, targets }) => !(add_unknown && 'filter' in targets && targets.filter.running), {
    path: ['targets', 'filter', 'running'],
    error: 'what an unknown device runs is not known before it is asked: leave out add_unknown or this',
  });
export type ObservationRequest = z.output<typeof ObservationRequest>;

export const Observation = z
  .object({
    id: z.int(),
    status: z.enum(observationStatuses),
    filter: ObservationFilter.nullable().meta({ description: 'null: devices were named one by one' }),
    add_unknown: z.boolean(),
    maximum_per_minute: z.int(),
    progress: z
      .number()
      .nullable()
      .meta({ description: 'Share of the devices that were asked, 0 to 1; null while their number is not known' }),
    devices_total: z.int().nullable().meta({ description: 'To be asked; null while the backend lists them' }),
    devices_asked: z.int().meta({ description: 'Done with: answered, unknown or refused' }),
    devices_answered: z.int().meta({ description: 'The backend knows them' }),
    devices_unknown: z.int().meta({ description: 'The backend does not know them' }),
    devices_refused: z.int().meta({ description: 'The backend refused the question, or their id is none that is possible here' }),
    devices_added: z.int().meta({ description: 'Of those answered: were not registered here, and are now' }),
    devices_not_registered: z.int().meta({
      description: 'Of those answered: not registered here. `add_unknown` adds them, unless their generation is none that is known here',
    }),
    reports_stored: z.int().meta({ description: 'Versions learned, one per device and hardware type: something was not known before' }),
    reports_unchanged: z.int().meta({ description: 'Nothing new' }),
    reports_outdated: z.int().meta({ description: 'Something newer is known' }),
    reports_refused: z.int().meta({ description: 'Not well-formed, of the future, or of a hardware type that is not known here' }),
    failures: z.int().meta({ description: 'Calls in a row that the backend did not answer; while there are any, the observation waits' }),
    last_error: z.string().nullable().meta({ description: 'The latest trouble with the backend' }),
    last_error_dt: Timestamp.nullable(),
    due_dt: Timestamp.nullable().meta({ description: 'When the backend is asked next; null at the end' }),
    comment: z.string(),
    created_by: z.string(),
    request_id: z.string(),
    created_dt: Timestamp,
    started_dt: Timestamp.nullable(),
    finished_dt: Timestamp.nullable(),
  })
  .meta({ id: 'Observation' });
export type Observation = z.infer<typeof Observation>;

export const ObservedChange = z
  .object({
    kind: DeviceKind,
    external_id: z.string(),
    hardware_type: HardwareTypeName,
    from_version: z.string().nullable().meta({ description: 'null: nothing was known' }),
    to_version: z.string(),
    observed_dt: Timestamp,
  })
  .meta({ id: 'ObservedChange' });
export type ObservedChange = z.infer<typeof ObservedChange>;

export const ObservationWithChanges = Observation.extend({
  changes: pageOf(ObservedChange).meta({ description: 'What devices run that was not known before, in the order in which it was learned' }),
}).meta({ id: 'ObservationWithChanges' });
export type ObservationWithChanges = z.infer<typeof ObservationWithChanges>;

/** What the backend takes in one question (design.md section 7). */
const maximumChunk = 1_000;

/**
 * The pace in chunks: `size` devices every `seconds`. Whole chunks fill a minute, so that no minute, wherever it begins, has more
 * devices than were asked for.
 */
export const chunkPace = (maximumPerMinute: number): { size: number; seconds: number } => {
  const perMinute = Math.ceil(maximumPerMinute / maximumChunk);
  return { size: Math.floor(maximumPerMinute / perMinute), seconds: Math.ceil(60_000 / perMinute) / 1_000 };
};

const shortestWaitSeconds = 5;
/** SQS delays a message no longer. */
export const longestWaitSeconds = 900;

/** How long an observation leaves a backend alone that did not answer so many times in a row. */
export const waitAfterFailure = (failures: number, retryAfterSeconds = 0): number =>
  Math.min(longestWaitSeconds, Math.max(retryAfterSeconds, shortestWaitSeconds * 2 ** (failures - 1)));
