import * as z from 'zod/mini';
import { Comment, FirmwareId, FirmwareRequirement, firmwareNeeds, HardwareTypeName, Timestamp } from '../firmware/firmware.ts';
import { FirmwareVersion } from '../firmware/version.ts';

/**
 * Assembly status. It is not stored: it follows from the status of the firmware that the assembly makes (lib/firmware/firmware.ts).
 *
 *   IN_PROGRESS ──package registered by the S3 event──▶ COMPLETED
 *      │   ▲  └──a part is not available, or not what was registered──▶ FAILED
 *      ▼   │
 *   STALLED    nobody has worked on it for longer than a message waits for its next try: it has reached the dead-letter queue
 */
export const assemblyStatuses = ['IN_PROGRESS', 'STALLED', 'COMPLETED', 'FAILED'] as const;
export type AssemblyStatus = (typeof assemblyStatuses)[number];

/** SWUpdate cuts strings at 255 bytes without an error; this leaves it some room. */
const maximumPathBytes = 240;

const PathOnDevice = z.string().check(
  z.refine((path) => Buffer.byteLength(path) <= maximumPathBytes, `must have ${maximumPathBytes} bytes at most`),
  z.refine((path) => path.isWellFormed(), 'must be well-formed Unicode'),
  z.refine((path) => !/\p{Cc}/u.test(path), 'must not have control characters'),
  z.refine(
    (path) =>
      path.startsWith('/') &&
      path
        .slice(1)
        .split('/')
        .every((segment) => segment !== '' && segment !== '.' && segment !== '..'),
    'must be an absolute path without empty segments, . or ..',
  ),
  z.meta({ maxLength: maximumPathBytes, pattern: '^(/(?!\\.{1,2}(/|$))[^/\\u0000-\\u001f\\u007f-\\u009f]+)+$' }),
);

/** What SWUpdate does with a part. Handlers that would run something from the package are left out on purpose. */
export const installHandlers = ['rawfile', 'archive', 'raw'] as const;

export const Install = z
  .object({ handler: z.enum(installHandlers), path: z.nullable(z.string()), device: z.nullable(z.string()) })
  .register(z.globalRegistry, { id: 'Install' });
export type Install = z.infer<typeof Install>;

const InstallRequest = z
  .strictObject({
    handler: z._default(z.enum(installHandlers), 'rawfile').check(
      z.meta({
        description: 'rawfile: write the file `path`; archive: unpack into the folder `path`; raw: write the block device `device`',
      }),
    ),
    path: z.optional(PathOnDevice).check(
      z.meta({
        description: 'Default for rawfile: /lib/firmware/{hardware_type}.bin',
        example: '/lib/firmware/vega_gsm.bin',
      }),
    ),
    device: z
      .optional(
        PathOnDevice.check(
          z.refine((path) => path.startsWith('/dev/'), 'must be below /dev'),
          z.meta({ allOf: [{ pattern: '^/dev/' }] }),
        ),
      )
      .check(z.meta({ example: '/dev/mmcblk0p2' })),
  })
  .check(
    z.refine(({ handler, path }) => handler !== 'archive' || path !== undefined, {
      path: ['path'],
      error: 'has to be given: where to unpack it',
    }),
    z.refine(({ handler, path }) => handler !== 'raw' || path === undefined, { path: ['path'], error: 'goes with rawfile and archive' }),
    z.refine(({ handler, device }) => handler !== 'raw' || device !== undefined, {
      path: ['device'],
      error: 'has to be given: what to write it to',
    }),
    z.refine(({ handler, device }) => handler === 'raw' || device === undefined, { path: ['device'], error: 'goes with raw' }),
    z.meta({
      oneOf: [
        { properties: { handler: { const: 'rawfile' }, device: false } },
        { properties: { handler: { const: 'archive' }, device: false }, required: ['handler', 'path'] },
        { properties: { handler: { const: 'raw' }, path: false }, required: ['handler', 'device'] },
      ],
    }),
  );

/** Fills in where a part goes. */
export const toInstall = ({ handler, path, device }: z.output<typeof InstallRequest>, hardware_type: string): Install => ({
  handler,
  path: path ?? (handler === 'rawfile' ? `/lib/firmware/${hardware_type}.bin` : null),
  device: device ?? null,
});

const maximumParts = 20;

/** SWUpdate compares this with the device's own revision, which `swupdate -H board:1.0` or /etc/hwrevision gives. */
const HardwareRevision = z.string().check(
  z.minLength(1),
  z.maxLength(64),
  z.refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), 'must be well-formed Unicode without control characters'),
  z.meta({ pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$' }),
);

export const AssemblyRequest = z.strictObject({
  hardware_type: HardwareTypeName,
  version: FirmwareVersion,
  comment: z._default(Comment, ''),
  parts: z
    .array(z.strictObject({ firmware_id: FirmwareId, install: z.prefault(InstallRequest, {}) }))
    .check(
      z.minLength(1),
      z.maxLength(maximumParts),
      z.meta({ description: 'In the order in which they are installed, one for each hardware type' }),
    ),
  requires: z._default(firmwareNeeds.requires, []),
  minimum_from_version_num: z._default(firmwareNeeds.minimum_from_version_num, null),
  hardware_compatibility: z
    ._default(z.array(HardwareRevision).check(z.minLength(1), z.maxLength(20)), ['1.0'])
    .check(z.meta({ description: 'Hardware revisions of devices that may install the package' })),
  signed: z._default(z.boolean(), true).check(z.meta({ description: 'Whether sw-description is signed; stock devices demand it' })),
});
export type AssemblyRequest = z.output<typeof AssemblyRequest>;

export const AssemblyPart = z
  .object({
    firmware_id: FirmwareId,
    hardware_type: HardwareTypeName,
    version: z.string(),
    version_num: z.int(),
    size_bytes: z.int(),
    sha256: z.string().check(z.meta({ description: 'Hexadecimal' })),
    install: Install,
  })
  .register(z.globalRegistry, { id: 'AssemblyPart' });
export type AssemblyPart = z.infer<typeof AssemblyPart>;

export const Assembly = z
  .object({
    id: z.int(),
    status: z.enum(assemblyStatuses).check(
      z.meta({
        description:
          'STALLED: its message is lost, so nothing happens. Redrive the dead-letter queue, or repeat the request with its Idempotency-Key',
      }),
    ),
    reason: z.nullable(z.string()).check(z.meta({ description: 'Why it failed, with the part that is to blame' })),
    firmware_id: FirmwareId.check(z.meta({ description: 'The package: a firmware like any other, available when COMPLETED' })),
    hardware_type: HardwareTypeName,
    version: z.string(),
    version_num: z.nullable(z.int()).check(z.meta({ description: 'null until available' })),
    size_bytes: z.nullable(z.int()).check(z.meta({ description: 'Of the package; null until it is written' })),
    sha256: z.nullable(z.string()).check(z.meta({ description: 'Of the package, hexadecimal; null until it is written' })),
    parts: z.array(AssemblyPart),
    requires: z.array(FirmwareRequirement),
    minimum_from_version_num: z.nullable(z.int()),
    hardware_compatibility: z.array(z.string()),
    signed: z.boolean(),
    comment: z.string(),
    attempts: z.int().check(z.meta({ description: 'How many times the work was begun' })),
    last_error: z.nullable(z.string()).check(z.meta({ description: 'The latest trouble that does not end it' })),
    last_error_dt: z.nullable(Timestamp),
    created_by: z.string(),
    request_id: z.string(),
    created_dt: Timestamp,
    published_dt: z.nullable(Timestamp).check(z.meta({ description: 'When the package was written to S3' })),
  })
  .register(z.globalRegistry, { id: 'Assembly' });
export type Assembly = z.infer<typeof Assembly>;

/** A part's file name in the archive. It is unique, because each hardware type occurs once, and needs no escaping. */
export const partFilename = ({ hardware_type }: Pick<AssemblyPart, 'hardware_type'>): string => `${hardware_type}.bin`;

/** The package's file name in S3. SWUpdate installs only files that end in .swu. */
export const packageFilename = 'firmware.swu';
