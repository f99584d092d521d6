import * as z from 'zod/mini';
import { Channel, DeviceKind, ScooterVersion } from '../fleet/device.ts';
import { requestedText } from '../text.ts';
import { HardwareTypeName } from './firmware.ts';

/** S3 takes no more in one PUT, which is what a link for an upload is for. */
const maximumSizeBytes = 5 * 1024 ** 3;

/**
 * What proves that a device that polls has installed a firmware: `version`, that it was seen running it afterwards; `feedback`, its own
 * word, for devices that cannot tell their version.
 */
export const Proof = z.enum(['version', 'feedback']);
export type Proof = z.infer<typeof Proof>;

const definition = {
  name: HardwareTypeName,
  device_kind: DeviceKind.check(z.meta({ description: 'Only devices of this kind have it' })),
  channel: Channel,
  scooter_versions: z.array(ScooterVersion).check(z.meta({ description: 'Generations of scooters it fits' })),
  fits_own_iot: z.boolean().check(z.meta({ description: 'Whether it fits scooters with an IoT of their own, which have no generation' })),
  max_size_bytes: z
    .int()
    .check(z.minimum(1), z.maximum(maximumSizeBytes), z.meta({ description: 'How large a file may be', example: 16_777_216 })),
  version_attribute: z
    .nullable(requestedText(128).check(z.minLength(1)))
    .check(z.meta({ description: 'The key of configData in which devices that poll tell their version; null: the name and `_version`' })),
  proof: Proof.check(
    z.meta({
      description:
        'What proves an installation on devices that poll: their version, seen afterwards; or their feedback alone, for those that cannot tell a version',
    }),
  ),
};

/** A component that has firmware of its own: everything the service knows of it. A row, not code: adding one is one insert. */
export const HardwareType = z
  .object({ ...definition, scooter_versions: z.array(z.int()) })
  .register(z.globalRegistry, { id: 'HardwareType' });
export type HardwareType = z.infer<typeof HardwareType>;

export const NewHardwareType = z
  .strictObject({
    ...definition,
    scooter_versions: z.pipe(
      z._default(definition.scooter_versions, []),
      z.transform((versions) => [...new Set(versions)].sort()),
    ),
    fits_own_iot: z._default(definition.fits_own_iot, false),
    version_attribute: z._default(definition.version_attribute, null),
    proof: z._default(definition.proof, 'version'),
  })
  .check(
    z.refine(({ device_kind, scooter_versions }) => device_kind === 'scooter' || scooter_versions.length === 0, {
      path: ['scooter_versions'],
      error: 'only scooters have a version',
    }),
    z.refine(({ device_kind, fits_own_iot }) => device_kind === 'scooter' || !fits_own_iot, {
      path: ['fits_own_iot'],
      error: 'is said of scooters only',
    }),
    z.refine(
      ({ device_kind, scooter_versions, fits_own_iot }) => device_kind !== 'scooter' || scooter_versions.length > 0 || fits_own_iot,
      {
        path: ['scooter_versions'],
        error: 'it would fit no scooter: name versions here, or set fits_own_iot',
      },
    ),
  );
export type NewHardwareType = z.output<typeof NewHardwareType>;
