import * as z from 'zod/mini';
import { StatementList } from '../../lib/authors/statement.ts';
import {
  Comment,
  FileName,
  Firmware,
  firmwareNeeds,
  HardwareTypeName,
  RequestedVersionNum,
  Revisions,
  Sha256,
  Timestamp,
} from '../../lib/firmware/firmware.ts';
import { LookAlike } from '../../lib/firmware/new-version.ts';
import { FirmwareVersion } from '../../lib/firmware/version.ts';
import { defineRoute } from '../../lib/http/route.ts';

const Answer = z
  .extend(Firmware, {
    upload: z
      .nullable(
        z.object({
          method: z.literal('PUT'),
          url: z.url(),
          headers: z.record(z.string(), z.string()).check(z.meta({ description: 'To be sent exactly so: they are part of the signature' })),
          expires_dt: Timestamp,
        }),
      )
      .check(
        z.meta({
          description: 'Where to send the file; null: it is here already, and is registered or will be in a moment, as `status` says',
        }),
      ),
    look_alikes: z.array(LookAlike).check(
      z.meta({
        description: 'Versions of the same hardware type that people may take for this one. A warning: it was reserved nevertheless',
      }),
    ),
  })
  .register(z.globalRegistry, { id: 'FirmwareUpload' });

export const uploadFirmwareRoute = defineRoute({
  operationId: 'uploadFirmware',
  method: 'POST',
  path: '/v1/firmwares',
  tag: 'Firmwares',
  scope: 'firmware:write',
  summary: 'Reserve a version and get the link to upload its file to',
  description:
    'Send the file to `upload.url` with `upload.headers` as they are. S3 refuses other bytes, another length and a second upload. ' +
    'The firmware becomes `available` when S3 has told the service about the file. The same request again, while the file is awaited, ' +
    'answers a fresh link; after that it answers the firmware, without a link, also when its comment or its file name differs: both stay ' +
    'as they are. A firmware that stays `awaiting_upload` though its file was sent: the same request again finds the file and has it registered. Another request for the same version, while its file is ' +
    'awaited or when it was rejected, replaces the former one. A version that differs from an existing one only by case or a leading v ' +
    'is refused. For a firmware that is `lost`, the same bytes get a link, and bring it back.',
  body: z.strictObject({
    hardware_type: HardwareTypeName,
    version: FirmwareVersion,
    filename: z._default(FileName, 'firmware.bin'),
    comment: z._default(Comment, ''),
    requires: z._default(firmwareNeeds.requires, []),
    minimum_from_version_num: z._default(firmwareNeeds.minimum_from_version_num, null),
    version_num: z
      ._default(z.nullable(RequestedVersionNum), null)
      .check(z.meta({ description: 'Its ordinal within the hardware type; null: as the `order` of the hardware type says' })),
    revisions: z._default(z.nullable(Revisions), null).check(
      z.meta({
        description:
          'The revisions of hardware that it fits; null: all, or those that were named before. Devices of another revision, or of an unknown ' +
          'one, are HARDWARE_MISMATCH then',
      }),
    ),
    size_bytes: z.int().check(z.minimum(1)),
    sha256: Sha256,
    signatures: z
      ._default(StatementList, [])
      .check(z.meta({ description: 'What its authors have signed about it; more can be added later' })),
  }),
  responses: {
    201: { description: 'Reserved', body: Answer, location: 'The firmware' },
    200: { description: 'Was reserved before: a fresh link, or the firmware that is here already', body: Answer, location: 'The firmware' },
  },
  problems: [409],
});
