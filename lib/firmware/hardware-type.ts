import * as z from 'zod/mini';
import { Channel, DeviceKind, ScooterVersion } from '../fleet/device.ts';
import { requestedText } from '../text.ts';
import { FileKind } from './file-kind.ts';
import { HardwareTypeName } from './firmware.ts';

/** An upload link is for one PUT, and S3 accepts at most this many bytes in one PUT. */
const maximumSizeBytes = 5 * 1024 ** 3;

/**
 * What proves that a polling device has installed a firmware. `version`: it was seen running the version afterwards. `feedback`: its word alone,
 * for devices that cannot tell their version.
 */
export const Proof = z.enum(['version', 'feedback']);
export type Proof = z.infer<typeof Proof>;

export const VersionOrder = z.enum(['registration', 'semver']);
export type VersionOrder = z.infer<typeof VersionOrder>;

/** Regular expressions of PostgreSQL without back references: no text can make these slow (version-pattern-queries.ts). */
const VersionPattern = z.string().check(
  z.minLength(1),
  z.maxLength(128),
  z.refine((text) => /^[\x20-\x7e]*$/.test(text), 'must be made of printable ASCII characters'),
  z.refine((text) => !/\\[1-9]/.test(text), 'must not refer back to a group'),
  z.meta({ pattern: '^(?!.*\\\\[1-9])[ -~]*$' }),
);

const definition = {
  name: HardwareTypeName,
  device_kind: DeviceKind.check(z.meta({ description: 'Only devices of this kind have it' })),
  channel: Channel,
  scooter_versions: z.array(ScooterVersion).check(z.maxLength(20), z.meta({ description: 'Generations of scooters it fits' })),
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
  order: VersionOrder.check(
    z.meta({
      description:
        'Which firmware is newer, where the request does not say its version_num: the one that was registered later, or the one whose ' +
        'version is higher as a semantic version (semver.org). With semver, other versions are refused',
    }),
  ),
  author_signatures_required: z.int().check(
    z.minimum(0),
    z.maximum(5),
    z.meta({
      description:
        'How many different authors have to sign a firmware before an update can use it. A package counts as signed when each of its parts is signed',
    }),
  ),
  version_maximum_length: z
    .nullable(z.int().check(z.minimum(1), z.maximum(64)))
    .check(z.meta({ description: 'How many characters of a version its devices can tell; a longer one is refused. null: any' })),
  version_pattern: z.nullable(VersionPattern).check(
    z.meta({
      description:
        'A regular expression of PostgreSQL that the whole of a version has to match, because its devices can tell no other. null: any',
      example: String.raw`\d+\.\d+\.\d+`,
    }),
  ),
};

/** A component that has firmware of its own, with everything the service knows about it. Hardware types are rows: adding one needs no code. */
export const HardwareType = z
  .object({ ...definition, scooter_versions: z.array(z.int()), file_kinds: z.nullable(z.array(z.string())) })
  .register(z.globalRegistry, { id: 'HardwareType' });
export type HardwareType = z.infer<typeof HardwareType>;

const sortedSet = <T extends z.ZodMiniType<(number | string)[]>>(schema: T) =>
  z.pipe(
    schema,
    z.transform((values: z.output<T>) => [...new Set(values)].sort() as z.output<T>),
  );

const scooterVersions = sortedSet(definition.scooter_versions);
const fileKinds = z
  .nullable(sortedSet(z.array(FileKind).check(z.minLength(1), z.maxLength(20))))
  .check(z.meta({ description: 'Only files that begin like one of these are taken; null: any' }));

type Fit = Pick<HardwareType, 'device_kind' | 'scooter_versions' | 'fits_own_iot'>;

/** Checks that the fields that say which devices it fits make sense together. Answers what is wrong, by field. */
export const findMisfits = ({ device_kind, scooter_versions, fits_own_iot }: Fit): { path: keyof Fit; message: string }[] => {
  if (device_kind !== 'scooter') {
    return [
      ...(scooter_versions.length > 0 ? [{ path: 'scooter_versions' as const, message: 'only scooters have a version' }] : []),
      ...(fits_own_iot ? [{ path: 'fits_own_iot' as const, message: 'is said of scooters only' }] : []),
    ];
  }
  if (scooter_versions.length > 0 || fits_own_iot) return [];
  return [{ path: 'scooter_versions', message: 'it would fit no scooter: name versions here, or set fits_own_iot' }];
};

export const NewHardwareType = z
  .strictObject({
    ...definition,
    scooter_versions: z.prefault(scooterVersions, []),
    fits_own_iot: z._default(definition.fits_own_iot, false),
    version_attribute: z._default(definition.version_attribute, null),
    proof: z._default(definition.proof, 'version'),
    order: z._default(definition.order, 'registration'),
    file_kinds: z._default(fileKinds, null),
    author_signatures_required: z._default(definition.author_signatures_required, 0),
    version_maximum_length: z._default(definition.version_maximum_length, null),
    version_pattern: z._default(definition.version_pattern, null),
  })
  .check(
    z.superRefine((type, context) => {
      for (const { path, message } of findMisfits(type)) context.addIssue({ code: 'custom', path: [path], message });
    }),
    // The same rule for programs that read the OpenAPI document.
    z.meta({
      if: { properties: { device_kind: { const: 'cabinet' }, scooter_versions: { maxItems: 0 }, fits_own_iot: { const: false } } },
      else: {
        properties: { device_kind: { const: 'scooter' } },
        anyOf: [
          { properties: { scooter_versions: { minItems: 1 } }, required: ['scooter_versions'] },
          { properties: { fits_own_iot: { const: true } }, required: ['fits_own_iot'] },
        ],
      },
    }),
  );
export type NewHardwareType = z.output<typeof NewHardwareType>;

const { name: _name, ...changeable } = definition;

/** What is not named stays as it is. */
export const HardwareTypeChange = z
  .partial(z.strictObject({ ...changeable, scooter_versions: scooterVersions, file_kinds: fileKinds }))
  .check(
    z.refine((change) => Object.keys(change).length > 0, 'must have at least one field'),
    z.meta({ minProperties: 1 }),
  );
export type HardwareTypeChange = z.output<typeof HardwareTypeChange>;
