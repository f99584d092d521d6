import * as z from 'zod/mini';

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
export const ExternalIdPrefix = z.string().check(z.regex(/^[\w.:~-]{1,128}$/, 'has 1 to 128 letters, digits and . _ : ~ -'));
export const ScooterVersion = z.union([z.literal(1), z.literal(2)]).check(z.meta({ description: 'Generation of a scooter' }));

/**
 * How the service learned a version: scooters-backend told it (confirmation) or was asked (observation); the device told its version
 * (config_data), or said that it had installed it, where this counts as proof (feedback); or the version is part of a package that the device
 * runs (package).
 */
export const reportSources = ['confirmation', 'observation', 'config_data', 'feedback', 'package'] as const;
export type ReportSource = (typeof reportSources)[number];
