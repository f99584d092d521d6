import * as z from 'zod/mini';
import { Comment, HardwareTypeName, Timestamp } from '../firmware/firmware.ts';
import { DeviceKind } from '../fleet/device.ts';
import { DeviceFilter } from '../fleet/device-filter.ts';
import { NamedDevices } from '../fleet/named-devices.ts';
import { pageOf } from '../http/page.ts';

/**
 * Observation status: IN_PROGRESS until every device was asked, then COMPLETED. CANCELED when a caller ends it. FAILED when the backend refuses
 * to list its devices, so that nobody knows which devices to ask for.
 */
export const observationStatuses = ['IN_PROGRESS', 'COMPLETED', 'CANCELED', 'FAILED'] as const;
export type ObservationStatus = (typeof observationStatuses)[number];

export const ObservationFilter = DeviceFilter;
export type ObservationFilter = z.output<typeof ObservationFilter>;

/** The fields of a filter that the backend's list of devices can answer. */
const knownOfStrangers = ['kind', 'version'];

export const ObservationRequest = z
  .strictObject({
    targets: z.union([NamedDevices, z.strictObject({ filter: ObservationFilter })]),
    add_unknown: z._default(z.boolean(), false).check(
      z.meta({
        description:
          'Add devices that the backend knows and this service does not: those among `external_ids`, or, with a filter, all that the ' +
          'backend lists. Devices that are known are not changed',
      }),
    ),
    maximum_per_minute: z
      ._default(z.int().check(z.minimum(1), z.maximum(1_000_000)), 60_000)
      .check(z.meta({ description: 'Devices asked per minute, at most' })),
    comment: z._default(Comment, ''),
  })
  .check(
    z.superRefine(({ add_unknown, targets }, context) => {
      if (!add_unknown || !('filter' in targets)) return;
      for (const field of Object.keys(targets.filter).filter((name) => !knownOfStrangers.includes(name))) {
        const message = 'is not known of a device before it is registered: leave out add_unknown or this';
        context.addIssue({ code: 'custom', path: ['targets', 'filter', field], message });
      }
    }),
    z.meta({
      if: { properties: { add_unknown: { const: false } } },
      else: { properties: { targets: { properties: { filter: { properties: { running: false } } } } } },
    }),
  );
export type ObservationRequest = z.output<typeof ObservationRequest>;

export const Observation = z
  .object({
    id: z.int(),
    status: z.enum(observationStatuses),
    filter: z.nullable(ObservationFilter).check(z.meta({ description: 'null: devices were named one by one' })),
    add_unknown: z.boolean(),
    maximum_per_minute: z.int(),
    progress: z
      .nullable(z.number())
      .check(z.meta({ description: 'Share of the devices that were asked, 0 to 1; null while their number is not known' })),
    devices_total: z.nullable(z.int()).check(z.meta({ description: 'To be asked; null while the backend lists them' })),
    devices_asked: z.int().check(z.meta({ description: 'Done with: answered, unknown or refused' })),
    devices_answered: z.int().check(z.meta({ description: 'The backend knows them' })),
    devices_unknown: z.int().check(z.meta({ description: 'The backend does not know them' })),
    devices_refused: z
      .int()
      .check(z.meta({ description: 'The backend refused to ask them, or their id is not one that this service allows' })),
    devices_added: z.int().check(z.meta({ description: 'Of those answered: were not registered here, and are now' })),
    devices_not_registered: z.int().check(
      z.meta({
        description:
          'Devices that have answered and are not registered here. `add_unknown` adds them, unless this service does not know their generation',
      }),
    ),
    reports_stored: z
      .int()
      .check(z.meta({ description: 'Versions learned, one per device and hardware type: something was not known before' })),
    reports_unchanged: z.int().check(z.meta({ description: 'Nothing new' })),
    reports_outdated: z.int().check(z.meta({ description: 'Something newer is known' })),
    reports_refused: z
      .int()
      .check(z.meta({ description: 'Reports that are not well-formed, or about a hardware type that this service does not know' })),
    failures: z
      .int()
      .check(z.meta({ description: 'Calls in a row that the backend did not answer; while there are any, the observation waits' })),
    last_error: z.nullable(z.string()).check(z.meta({ description: 'The latest trouble with the backend' })),
    last_error_dt: z.nullable(Timestamp),
    due_dt: z.nullable(Timestamp).check(z.meta({ description: 'When the backend is asked next; null at the end' })),
    is_late: z.boolean().check(
      z.meta({
        description:
          'It is more than five minutes late: its message is lost, or the service cannot work on it. `resume`, or the request repeated with ' +
          'its Idempotency-Key, sends its message again',
      }),
    ),
    comment: z.string(),
    created_by: z.string(),
    request_id: z.string(),
    created_dt: Timestamp,
    started_dt: z.nullable(Timestamp),
    finished_dt: z.nullable(Timestamp),
  })
  .register(z.globalRegistry, { id: 'Observation' });
export type Observation = z.infer<typeof Observation>;

export const ObservedChange = z
  .object({
    kind: DeviceKind,
    external_id: z.string(),
    hardware_type: HardwareTypeName,
    from_version: z.nullable(z.string()).check(z.meta({ description: 'null: nothing was known' })),
    to_version: z.string(),
    observed_dt: Timestamp,
  })
  .register(z.globalRegistry, { id: 'ObservedChange' });
export type ObservedChange = z.infer<typeof ObservedChange>;

export const ObservationWithChanges = z
  .extend(Observation, {
    changes: pageOf(ObservedChange).check(
      z.meta({ description: 'What devices run that was not known before, in the order in which it was learned' }),
    ),
  })
  .register(z.globalRegistry, { id: 'ObservationWithChanges' });
export type ObservationWithChanges = z.infer<typeof ObservationWithChanges>;

/** How many devices the backend accepts in one question (lib/ports/scooters-backend.openapi.yaml). */
const maximumChunk = 1_000;

/**
 * The pace in chunks: `size` devices every `seconds`. Whole chunks fill a minute, so that no minute, wherever it begins, has more
 * devices than were asked for.
 */
export const chunkPace = (maximumPerMinute: number): { size: number; seconds: number } => {
  const perMinute = Math.ceil(maximumPerMinute / maximumChunk);
  return { size: Math.floor(maximumPerMinute / perMinute), seconds: Math.ceil(60_000 / perMinute) / 1_000 };
};

/** More than the largest fleet: a backend that lists more devices lists them without end. */
const maximumListed = 5_000_000;
/** Failed tries are steps too. */
const spareSteps = 10_000;

/** Whether a walk through the backend's list has taken more steps than any fleet needs. */
export const isEndless = (step: number, maximumPerMinute: number): boolean =>
  step > spareSteps + maximumListed / chunkPace(maximumPerMinute).size;

const shortestWaitSeconds = 5;
/** The longest delay that SQS accepts. */
export const longestWaitSeconds = 900;

/** How many seconds an observation waits after `failures` calls in a row without an answer. */
export const waitAfterFailure = (failures: number, retryAfterSeconds = 0): number =>
  Math.min(longestWaitSeconds, Math.max(retryAfterSeconds, shortestWaitSeconds * 2 ** (failures - 1)));
