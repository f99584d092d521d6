import * as z from 'zod/mini';
import { HardwareTypeName, RequestedTimestamp } from '../firmware/firmware.ts';
import { IdInPath } from '../http/path-parameters.ts';

export const DeviceKind = z.enum(['scooter', 'cabinet']);
export type DeviceKind = z.infer<typeof DeviceKind>;
export const Channel = z
  .enum(['telematics', 'iot'])
  .check(z.meta({ description: 'How the device is reached: through scooters-backend, or it polls this service' }));
export type Channel = z.infer<typeof Channel>;
export const ExternalId = z
  .string()
  .check(
    z.minLength(1),
    z.maxLength(128),
    z.regex(/^(?!\.{1,2}$)[\w.:~-]+$/, 'may have letters, digits and . _ : ~ -, and is not . or .., which no address can name'),
    z.meta({ description: "The device's id in the scooters' database", example: 'S-00001' }),
  );
/** Characters that an external id may begin with, as far as somebody has typed it. */
const ExternalIdPrefix = z.string().check(z.regex(/^[\w.:~-]{1,128}$/, 'has 1 to 128 letters, digits and . _ : ~ -'));
export const ScooterVersion = z.union([z.literal(1), z.literal(2)]).check(z.meta({ description: 'Generation of a scooter' }));

/**
 * Where knowledge of a version came from: scooters-backend told us (confirmation), or we asked it (observation); the device itself told us
 * (config_data), or said that it had installed it and is believed (feedback); or it was part of what a device came to run (package).
 */
export const reportSources = ['confirmation', 'observation', 'config_data', 'feedback', 'package'] as const;
export type ReportSource = (typeof reportSources)[number];

const id = z.optional(IdInPath.shape.id);

/** The query of a list of devices; several conditions mean the devices that fulfil all of them. */
export const DeviceConditions = {
  kind: z.optional(DeviceKind),
  external_id_prefix: z.optional(ExternalIdPrefix).check(
    z.meta({
      description: 'Its external_id begins so; the list is then in the order of external_id, by character codes',
      example: 'S-000',
    }),
  ),
  version: z
    .optional(z.enum(['1', '2', 'none']))
    .check(z.meta({ description: 'Scooters of this generation; none: those with an IoT of their own' })),
  channel: z.optional(Channel),
  runs_firmware_id: id.check(z.meta({ description: 'Runs this firmware' })),
  older_than_firmware_id: id.check(z.meta({ description: 'Runs a firmware of the same hardware type with a lower version_num' })),
  unknown_version: z
    .optional(HardwareTypeName)
    .check(z.meta({ description: 'Runs a version of this hardware type that is in no catalogue' })),
  not_seen_since: z
    .optional(RequestedTimestamp)
    .check(z.meta({ description: 'Was last seen before this moment, or never', example: '2026-11-17T00:00:00Z' })),
};
export type DeviceConditions = z.output<z.ZodMiniObject<typeof DeviceConditions>>;
