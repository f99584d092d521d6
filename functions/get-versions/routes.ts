import * as z from 'zod/mini';
import { firmwareStatuses, HardwareTypeName } from '../../lib/firmware/firmware.ts';
import { firmwareSorts } from '../../lib/firmware/firmware-queries.ts';
import { FirmwareDownload } from '../../lib/firmware/get-firmware.ts';
import { HardwareType } from '../../lib/firmware/hardware-type.ts';
import { FirmwarePage } from '../../lib/firmware/list-firmwares.ts';
import { FirmwareVersion } from '../../lib/firmware/version.ts';
import { Revision } from '../../lib/fleet/revision.ts';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { Flag } from '../../lib/http/query-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const listFirmwaresRoute = defineRoute({
  operationId: 'listFirmwares',
  method: 'GET',
  path: '/v1/firmwares',
  tag: 'Firmwares',
  scope: 'read',
  summary: 'List firmwares',
  query: z.strictObject({
    hardware_type: z.optional(HardwareTypeName),
    version: z.optional(FirmwareVersion),
    status: z.optional(z.enum(firmwareStatuses)),
    revision: z.optional(Revision).check(z.meta({ description: 'Those that fit devices of this revision of hardware', example: 'B2' })),
    sort: z.optional(z.enum(firmwareSorts)).check(
      z.meta({
        description:
          'version_num: the order of versions; newest first is the default, and what has no version_num yet has the lowest. created_dt: the ' +
          'order in which firmwares were added',
      }),
    ),
    links: Flag.check(z.meta({ description: 'Also a fresh link to each available file' })),
    ...PageQuery,
  }),
  responses: { 200: { description: 'A page of firmwares', body: FirmwarePage } },
});

export const getFirmwareRoute = defineRoute({
  operationId: 'getFirmware',
  method: 'GET',
  path: '/v1/firmwares/{id}',
  tag: 'Firmwares',
  scope: 'read',
  summary: 'One firmware, with a fresh link to its file',
  pathParameters: IdInPath,
  responses: { 200: { description: 'The firmware; download_url is null unless it and its storage are available', body: FirmwareDownload } },
  problems: [404],
});

export const listHardwareTypesRoute = defineRoute({
  operationId: 'listHardwareTypes',
  method: 'GET',
  path: '/v1/hardware-types',
  tag: 'Firmwares',
  scope: 'read',
  summary: 'List hardware types: what has firmware of its own, which devices it fits, how large a file may be',
  query: z.strictObject(PageQuery),
  responses: { 200: { description: 'A page of hardware types', body: pageOf(HardwareType) } },
});
