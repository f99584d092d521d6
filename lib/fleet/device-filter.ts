import * as z from 'zod/mini';
import { FirmwareId, HardwareTypeName, PositiveInteger, RequestedTime } from '../firmware/firmware.ts';
import { FirmwareVersion } from '../firmware/version.ts';
import { Channel, DeviceKind, ExternalIdPrefix } from './device.ts';
import { Revision } from './revision.ts';
import { maximumTags, none, Tag, Word } from './word.ts';

const SomeTags = z.array(Tag).check(z.minLength(1), z.maxLength(maximumTags));

export const Running = z.union([
  z.strictObject({ hardware_type: HardwareTypeName, version: FirmwareVersion }),
  z.strictObject({ hardware_type: z.optional(HardwareTypeName), firmware_id: FirmwareId }),
]);
export type Running = z.output<typeof Running>;

/** Chooses the devices that fulfil all named conditions. The same language is used wherever devices are chosen. */
export const deviceFilter = {
  kind: z.optional(DeviceKind),
  external_id_prefix: z
    .optional(ExternalIdPrefix)
    .check(z.meta({ description: 'Their external_id begins so, by character codes', example: 'S-000' })),
  version: z
    .optional(z.union([z.literal(1), z.literal(2), z.literal(none)]))
    .check(z.meta({ description: 'Scooters of this generation; none: those with an IoT of their own' })),
  channel: z.optional(Channel),
  zone: z.optional(Word).check(z.meta({ description: 'They stand in this zone; none: in no zone', example: 'north' })),
  tags: z
    .optional(z.strictObject({ all: z.optional(SomeTags), any: z.optional(SomeTags), none: z.optional(SomeTags) }))
    .check(z.meta({ description: 'They have all of these tags, any of them, none of them' })),
  revision: z.optional(Revision),
  running: z.optional(Running).check(z.meta({ description: 'They run this version now' })),
  not_running: z
    .optional(Running)
    .check(z.meta({ description: 'They run another version of this hardware type, or it is not known what they run of it' })),
  older_than_firmware_id: z
    .optional(FirmwareId)
    .check(z.meta({ description: 'They run a firmware of the same hardware type with a lower version_num' })),
  unknown_version: z
    .optional(HardwareTypeName)
    .check(z.meta({ description: 'They run a version of this hardware type that is in no catalogue' })),
  not_seen_days: z
    .optional(z.int().check(z.minimum(1), z.maximum(3_650)))
    .check(z.meta({ description: 'They were not seen for so many days of 24 hours, or never' })),
  not_seen_since: z
    .optional(RequestedTime)
    .check(z.meta({ description: 'They were last seen before this moment, or never', example: '2026-11-17T00:00:00Z' })),
  retired: z
    .optional(z.boolean())
    .check(z.meta({ description: 'Whether they are retired. Default: no; in lists of devices, all are shown' })),
  failed_in_update_id: z.optional(PositiveInteger).check(
    z.meta({
      description:
        'Their execution in this update has ended without success. Refused when the executions of that update are no longer kept (`executions_removed_dt`)',
    }),
  ),
  percentage: z.optional(z.number().check(z.gt(0), z.maximum(100))).check(
    z.meta({
      description:
        'A sample of so many per cent of those that fulfil the other conditions, at least one device. For one firmware always the same ' +
        'devices, and a larger one contains a smaller one; drawn anew for every firmware. Where no firmware is meant, always the same',
    }),
  ),
};
export const DeviceFilter = z.strictObject(deviceFilter);
export type DeviceFilter = z.output<typeof DeviceFilter>;
