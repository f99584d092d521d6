import * as z from 'zod/mini';
import { Comment, FirmwareId, PositiveInteger, RequestedTimestamp } from '../firmware/firmware.ts';
import { DeviceKind } from '../fleet/device.ts';
import { deviceFilter } from '../fleet/device-filter.ts';
import { GroupName } from '../fleet/group.ts';
import { MaintenanceWindow } from '../fleet/maintenance-window.ts';
import { NamedDevices } from '../fleet/named-devices.ts';
import { Rollout } from './rollout.ts';
import { Canary, defaultStopRules, FailureTypes, StopRule, UnknownVersion } from './rules.ts';

const FilteredDevices = z.strictObject({
  filter: z
    .strictObject({ ...deviceFilter, kind: z._default(DeviceKind, 'scooter') })
    .check(z.meta({ description: 'Those that fulfil all of these conditions' })),
});

const GroupedDevices = z.strictObject({
  group: GroupName.check(
    z.meta({
      description: 'The members that this group has when the update is requested; of a continuous update, also those that it gets later',
    }),
  ),
  percentage: deviceFilter.percentage,
});

export const Targets = z.union([NamedDevices, FilteredDevices, GroupedDevices]);
export type Targets = z.output<typeof Targets>;
export type NamedTargets = z.output<typeof NamedDevices>;
/** What an open update means: devices that fulfil this come to match it, whenever that is. */
export const OpenTargets = z.union([FilteredDevices, GroupedDevices]);
export type OpenTargets = z.output<typeof OpenTargets>;

/** Conditions that time alone fulfils, or other updates: nobody changes a device then, so that nobody would tell an open update of it. */
export const passingConditions = [
  'not_seen_days',
  'not_seen_since',
  'failed_in_update_id',
] as const satisfies readonly (keyof typeof deviceFilter)[];

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
    supersede: z._default(z.boolean(), false).check(
      z.meta({
        description:
          'Takes the place of older updates of the same hardware type: executions for which nobody has asked the device yet end CANCELED, with ' +
          'the reason `SUPERSEDED: <id of this update>`, and the device takes part in this one. Devices at work are taken in when they have ended ' +
          'there. From the answer on no older update asks them, also while this ' +
          'update waits for its start or its approval; if this one is canceled, the older ones do not come back. Of any number of devices: more than ' +
          '10,000 are taken over step by step, within a minute or two for a million (`claimed`), and only then does this update ask the first',
      }),
    ),
    unknown_version: z._default(UnknownVersion, 'INCLUDE').check(
      z.meta({
        description:
          'Devices that run a version that is in no catalogue: INCLUDE updates them too (ELIGIBLE_UNKNOWN_VERSION in the dry run), ' +
          'EXCLUDE leaves them out (UNKNOWN_VERSION)',
      }),
    ),
    continuous: z._default(z.boolean(), false).check(
      z.meta({
        description:
          'Whether it stays open when its devices have ended, and takes in devices that come to match later: that are registered, come back from ' +
          'retirement, get a tag, are moved into the zone, or run another version than before. It does so within two minutes, at the same pace ' +
          'and by the same rules; stop rules judge its last 1,000 ends, and the canary is the first devices that it asks. A device that was asked ' +
          'and did not succeed is tried again only when it runs another version than then; one whose turn did not come within `queued_minutes`, when anything about it changes. Of two continuous updates for one hardware type, ' +
          'the one requested later takes the devices that both mean. It ends when it is canceled, aborted or replaced. Its targets are a ' +
          'filter or a group, without `not_seen_days`, `not_seen_since` and `failed_in_update_id`',
      }),
    ),
    replaces_update_id: z._default(z.nullable(PositiveInteger), null).check(
      z.meta({
        description:
          'A continuous update of the same hardware type that ends when this one is accepted or, if somebody has to approve this one, when it is ' +
          'approved. Its devices that were not asked yet are taken in by this one, if it means them. Needs `continuous`',
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
    z.refine(({ continuous, targets }) => !continuous || !('external_ids' in targets), {
      path: ['targets', 'external_ids'],
      error: 'cannot be continuous: choose by a filter or a group',
    }),
    z.superRefine(({ continuous, targets }, context) => {
      if (!continuous || !('filter' in targets)) return;
      for (const field of passingConditions.filter((name) => targets.filter[name] !== undefined)) {
        context.addIssue({ code: 'custom', path: ['targets', 'filter', field], message: 'is not possible in a continuous update' });
      }
    }),
    z.refine(({ continuous, replaces_update_id }) => continuous || replaces_update_id === null, {
      path: ['replaces_update_id'],
      error: 'needs continuous',
    }),
    z.meta({
      allOf: [
        {
          if: { properties: { continuous: { const: true } }, required: ['continuous'] },
          // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
          then: {
            properties: {
              targets: {
                properties: { filter: { not: { anyOf: passingConditions.map((field) => ({ required: [field] })) } } },
                not: { required: ['external_ids'] },
              },
            },
          },
          else: { properties: { replaces_update_id: { type: 'null' } } },
        },
      ],
      if: { properties: { allow_downgrade: { const: false }, ignore_window: { const: false } } },
      else: { properties: { comment: { pattern: '\\S' } }, required: ['comment'] },
      not: { properties: { ignore_window: { const: true }, window: { type: 'object' } }, required: ['ignore_window', 'window'] },
    }),
  );
export type UpdateRequest = z.output<typeof UpdateRequest>;
