import * as z from 'zod/mini';
import { AuthorSignature } from '../authors/signature.ts';
import { Revision } from '../fleet/revision.ts';
import { requestedText } from '../text.ts';
import type { FileContent } from './file-kind.ts';
import { FirmwareVersion, keySegment } from './version.ts';

/**
 * Firmware status:
 *
 * | from               | to                 | when                                              |
 * | ------------------ | ------------------ | ------------------------------------------------- |
 * | awaiting_upload    | available          | its file is registered, and enough authors signed |
 * | awaiting_upload    | awaiting_signature | its file is registered, and some have yet to sign |
 * | awaiting_signature | available          | the last of them has signed                       |
 * | awaiting_upload    | rejected           | its file is refused                               |
 * | rejected           | awaiting_upload    | another request promises another file             |
 * | available          | lost               | its file is gone from S3                          |
 * | lost               | available          | the same file is there again                      |
 * | available, lost    | withdrawn          | an engineer withdraws it                          |
 *
 * A firmware that awaits its upload or its signatures, or was rejected, can also be deleted: no device has ever had its file.
 */
export const firmwareStatuses = ['awaiting_upload', 'awaiting_signature', 'available', 'lost', 'withdrawn', 'rejected'] as const;
export type FirmwareStatus = (typeof firmwareStatuses)[number];

/** Firmwares that devices may run: they were available once, and stay in the catalogue for ever. */
export const registeredStatuses = ['available', 'lost', 'withdrawn'] as const satisfies readonly FirmwareStatus[];

export const isRegistered = (status: FirmwareStatus): boolean => registeredStatuses.some((known) => known === status);

export const HardwareTypeName = z
  .string()
  .check(z.regex(/^[a-z][a-z0-9_]{0,62}$/, 'must be a hardware type name such as vega_mcu'), z.meta({ example: 'vega_mcu' }));
/** Up to the largest `integer` of PostgreSQL: a larger number is refused here and not by the database. */
export const PositiveInteger = z.int().check(z.minimum(1), z.maximum(2_147_483_647));
/** An ordinal that a caller chooses; above the maximum there is room for those that the service gives out. */
export const RequestedVersionNum = z.int().check(z.minimum(1), z.maximum(2_000_000_000));
export const FirmwareId = PositiveInteger.check(z.meta({ example: 17 }));
export const Sha256 = z
  .pipe(
    z.string().check(z.regex(/^[0-9a-fA-F]{64}$/, 'must be a SHA-256 in 64 hexadecimal digits')),
    z.transform((hex) => hex.toLowerCase()),
  )
  .check(z.meta({ example: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' }));
export const FileName = keySegment(128).check(z.meta({ description: 'The last part of the key in S3', example: 'firmware.bin' }));
export const Comment = requestedText(2_000);

/** A date and time with its offset in a request, as RFC 3339 has it; a Date inside. */
export const RequestedTimestamp = z.pipe(
  z.iso.datetime({ offset: true }),
  z.pipe(
    z.transform((text: string) => new Date(text)),
    z.date().check(z.refine((date) => /^\d{4}-/.test(date.toISOString()), 'is before the year 0 or after the year 9999, in UTC')),
  ),
);

const isWithinYears = (text: string) => /^\d{4}-/.test(new Date(text).toISOString());

/** The same, but kept as the text that was sent. */
export const RequestedTime = z.iso
  .datetime({ offset: true })
  .check(z.refine((text) => Number.isNaN(Date.parse(text)) || isWithinYears(text), 'is before the year 0 or after the year 9999, in UTC'));

const utc = z.meta({ type: 'string', format: 'date-time', example: '2026-11-24T08:00:00.000Z' });

/** A date and time in UTC as RFC 3339 has it; a Date inside, text in JSON. */
export const Timestamp = z.coerce.date().check(utc);
/** The same, and text inside, too: where an answer has hundreds, Dates are most of its time. */
export const TimestampText = z.string().check(utc);

export const FirmwareRequirement = z
  .strictObject({ hardware_type: HardwareTypeName, minimum_version_num: PositiveInteger })
  .register(z.globalRegistry, { id: 'FirmwareRequirement' });
export type FirmwareRequirement = z.infer<typeof FirmwareRequirement>;

/** Revisions of hardware, which devices are given when they are registered. */
export const Revisions = z.array(Revision).check(
  z.minLength(1),
  z.maxLength(50),
  z.refine((revisions) => new Set(revisions).size === revisions.length, 'has a revision more than once'),
  z.meta({ uniqueItems: true, example: ['B1', 'B2'] }),
);

/** What a device has to run before it may get a firmware. */
export const firmwareNeeds = {
  requires: z
    .array(FirmwareRequirement)
    .check(z.maxLength(20), z.meta({ description: 'What the device has to run of other hardware types' })),
  minimum_from_version_num: z.nullable(PositiveInteger).check(
    z.meta({
      description: 'Devices have to run at least this version_num of the hardware type before they may install it',
    }),
  ),
};

export const Firmware = z
  .object({
    id: FirmwareId,
    hardware_type: HardwareTypeName,
    version: z.string(),
    version_num: z.nullable(z.int()).check(
      z.meta({
        description: 'Ordinal within the hardware type: a higher one is newer. null until available, unless the request said it',
      }),
    ),
    status: z.enum(firmwareStatuses),
    reason: z.nullable(z.string()).check(z.meta({ description: 'Why it was rejected or withdrawn, or is lost' })),
    file_link: z
      .nullable(z.string())
      .check(z.meta({ description: 's3://bucket/key?versionId=…, for ever the same bytes. null until available' })),
    size_bytes: z.nullable(z.int()),
    sha256: z.nullable(z.string()).check(z.meta({ description: 'Hexadecimal' })),
    sha1: z.nullable(z.string()).check(z.meta({ description: 'Hexadecimal' })),
    md5: z.nullable(z.string()).check(z.meta({ description: 'Hexadecimal' })),
    ...firmwareNeeds,
    revisions: z.nullable(z.array(z.string())).check(
      z.meta({
        description:
          'The revisions of hardware that it fits: devices of another revision, or of an unknown one, do not get it. null: it fits all. A ' +
          'package fits those that all of its parts fit, and no device if that is none',
      }),
    ),
    author_signatures: z
      .array(AuthorSignature)
      .check(z.meta({ description: 'What the people who made it have signed about it; devices get it with the manifest' })),
    assembly_id: z.nullable(z.int()).check(z.meta({ description: 'The assembly that it is the package of; null: it was uploaded' })),
    upload_expires_dt: z.nullable(Timestamp).check(
      z.meta({
        description:
          'While its file is awaited: until when the link is good. After that the version is free for any request. null: no file is awaited',
      }),
    ),
    comment: z.string(),
    created_by: z.string(),
    created_dt: Timestamp,
  })
  .register(z.globalRegistry, { id: 'Firmware' });
export type Firmware = z.infer<typeof Firmware>;

export const ListedFirmware = z
  .extend(Firmware, {
    device_count: z.int().check(z.meta({ description: 'Devices that run it now' })),
  })
  .register(z.globalRegistry, { id: 'ListedFirmware' });
export type ListedFirmware = z.infer<typeof ListedFirmware>;

/** Where firmware files are kept; the bucket notifies about this prefix. */
const prefix = 'firmwares';

export interface FirmwareKey {
  hardware_type: string;
  version: string;
  filename: string;
  /**
   * The id of an announced upload. Each upload has a key of its own, so that an older link cannot write to it. Missing: a build pipeline has
   * written into the bucket by itself.
   */
  upload_id?: string;
}

/** `firmwares/{hardware_type}/{version}/{filename}`, with the id of the upload before the file name if it was announced. */
export const formatFirmwareKey = ({ hardware_type, version, filename, upload_id }: FirmwareKey): string =>
  [prefix, hardware_type, version, ...(upload_id === undefined ? [] : [upload_id]), filename].join('/');

const FirmwareKeyParts = z.union([
  z.tuple([z.literal(prefix), HardwareTypeName, FirmwareVersion, FileName]),
  z.tuple([z.literal(prefix), HardwareTypeName, FirmwareVersion, z.uuid(), FileName]),
]);

/** undefined for a key that cannot belong to a firmware. */
export const parseFirmwareKey = (key: string): FirmwareKey | undefined => {
  const parts = FirmwareKeyParts.safeParse(key.split('/'));
  if (!parts.success) return undefined;
  const [, hardware_type, version] = parts.data;
  return parts.data.length === 4
    ? { hardware_type, version, filename: parts.data[3] }
    : { hardware_type, version, upload_id: parts.data[3], filename: parts.data[4] };
};

export interface ObjectFacts {
  size_bytes: number;
  sha256: string;
}

/**
 * Why an object cannot become a firmware, or undefined when it can.
 *
 * @param promised what the upload was reserved for; fields are null when nothing was promised.
 */
export const findFileRefusal = (
  object: ObjectFacts,
  promised: { size_bytes: number | null; sha256: string | null },
  maximumSizeBytes: number,
): string | undefined => {
  if (object.size_bytes === 0) return 'The file is empty';
  if (object.size_bytes > maximumSizeBytes) {
    return `The file has ${object.size_bytes} bytes; this hardware type takes ${maximumSizeBytes} at most`;
  }
  if (promised.size_bytes !== null && promised.size_bytes !== object.size_bytes) {
    return `The file has ${object.size_bytes} bytes; ${promised.size_bytes} were announced`;
  }
  if (promised.sha256 !== null && promised.sha256 !== object.sha256) {
    return `The SHA-256 of the file is ${object.sha256}; ${promised.sha256} was announced`;
  }
  return undefined;
};

/** Why the content of a file cannot be a firmware of a hardware type, or undefined when it can. */
export const findContentRefusal = ({ kind, mistake }: FileContent, kinds: readonly string[] | null): string | undefined => {
  if (mistake) return `The file is ${mistake}, no firmware`;
  if (kinds === null || (kind !== null && kinds.includes(kind))) return undefined;
  return `The file begins like ${kind ?? 'no kind that is known'}; this hardware type takes ${kinds.join(', ')}`;
};
