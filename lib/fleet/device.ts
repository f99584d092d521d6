import * as z from 'zod';
import { FirmwareId, HardwareTypeName, Timestamp } from '../firmware/firmware.ts';

export const DeviceKind = z.enum(['scooter', 'cabinet']);
export type DeviceKind = z.infer<typeof DeviceKind>;
export const Channel = z
  .enum(['telematics', 'iot'])
  .meta({ description: 'How the device is reached: through scooters-backend, or it polls this service' });
export type Channel = z.infer<typeof Channel>;
export const ExternalId = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\w.:~-]+$/, 'may have letters, digits and . _ : ~ -')
  .meta({ description: "The device's id in the scooters' database", example: 'S-00001' });
export const ScooterVersion = z.union([z.literal(1), z.literal(2)]).meta({ description: 'Generation of a scooter' });

/** What a device is registered with. A scooter without a generation has its own IoT. */
export const NewDevice = z
  .strictObject({
    kind: DeviceKind,
    external_id: ExternalId,
    version: ScooterVersion.nullable().default(null),
    channel: Channel.optional().meta({ description: 'Default: telematics for scooters of version 1 and 2, iot for all others' }),
  })
  .refine(({ kind, version }) => kind === 'scooter' || version === null, { path: ['version'], error: 'only scooters have a version' })
  .transform((device) => ({ ...device, channel: device.channel ?? defaultChannel(device.version) }));
export type NewDevice = z.output<typeof NewDevice>;

const defaultChannel = (version: 1 | 2 | null): Channel => (version === null ? 'iot' : 'telematics');

/** Where knowledge of a version came from: pushed to us, or asked for by us. */
export const reportSources = ['confirmation', 'observation'] as const;
export type ReportSource = (typeof reportSources)[number];

export const InstalledFirmware = z
  .object({
    hardware_type: HardwareTypeName,
    firmware_id: FirmwareId.nullable().meta({ description: 'null while the version is in no catalogue' }),
    version: z.string(),
    version_num: z.int().nullable(),
    is_newest: z.boolean().meta({ description: 'No available firmware of this hardware type has a higher version_num' }),
    firmware_update_dt: Timestamp.meta({ description: 'Since when it runs this version' }),
    firmware_update_time: z
      .number()
      .nullable()
      .meta({ description: 'Seconds the last installation took, from command to proof; null when not ordered by this service' }),
    observed_dt: Timestamp.meta({ description: 'When it was last seen running this version' }),
    source: z.enum(reportSources),
  })
  .meta({ id: 'InstalledFirmware' });
export type InstalledFirmware = z.infer<typeof InstalledFirmware>;

export const Device = z
  .object({
    kind: DeviceKind,
    external_id: z.string(),
    version: z.int().nullable(),
    channel: Channel,
    created_dt: Timestamp,
    firmwares: z.array(InstalledFirmware),
  })
  .meta({ id: 'Device' });
export type Device = z.infer<typeof Device>;
