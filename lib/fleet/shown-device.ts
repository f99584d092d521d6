import * as z from 'zod/mini';
import { FirmwareId, HardwareTypeName, Timestamp, TimestampText } from '../firmware/firmware.ts';
import { Channel, DeviceKind, reportSources } from './device.ts';

export const InstalledFirmware = z
  .object({
    hardware_type: HardwareTypeName,
    firmware_id: z.nullable(FirmwareId).check(z.meta({ description: 'null while the version is in no catalogue' })),
    version: z.string(),
    version_num: z.nullable(z.int()),
    is_newest: z.boolean().check(z.meta({ description: 'No available firmware of this hardware type has a higher version_num' })),
    firmware_update_dt: TimestampText.check(z.meta({ description: 'Since when it runs this version' })),
    firmware_update_time: z
      .nullable(z.number())
      .check(z.meta({ description: 'Seconds the last installation took, from command to proof; null when not ordered by this service' })),
    observed_dt: TimestampText.check(z.meta({ description: 'When it was last seen running this version' })),
    source: z.enum(reportSources),
  })
  .register(z.globalRegistry, { id: 'InstalledFirmware' });
export type InstalledFirmware = z.infer<typeof InstalledFirmware>;

export const Device = z
  .object({
    kind: DeviceKind,
    external_id: z.string(),
    version: z.nullable(z.int()),
    channel: Channel,
    zone: z.nullable(z.string()).check(z.meta({ description: 'The zone it stands in; null: none' })),
    tags: z.array(z.string()),
    revision: z.nullable(z.string()).check(z.meta({ description: 'Of its hardware; null: not known' })),
    retired_dt: z.nullable(Timestamp).check(z.meta({ description: 'Since when it is out of service for good; null: it is not' })),
    created_dt: Timestamp,
    last_seen_dt: z.nullable(Timestamp).check(
      z.meta({
        description: 'When it was last seen running what it runs, or has polled, to some minutes; null: never',
      }),
    ),
    firmwares: z.array(InstalledFirmware),
  })
  .register(z.globalRegistry, { id: 'Device' });
export type Device = z.infer<typeof Device>;

export const PastFirmware = z
  .extend(z.omit(InstalledFirmware, { is_newest: true }), {
    firmware_update_dt: Timestamp.check(z.meta({ description: 'Since when it runs this version' })),
    observed_dt: Timestamp.check(z.meta({ description: 'When it was first seen running this version' })),
    occurred_dt: z.nullable(Timestamp).check(
      z.meta({
        description: 'The same by the clock of whoever told it, which may be wrong: then observed_dt is when it came. null: not kept',
      }),
    ),
  })
  .register(z.globalRegistry, { id: 'PastFirmware' });
export type PastFirmware = z.infer<typeof PastFirmware>;
