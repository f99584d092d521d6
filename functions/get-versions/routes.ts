import * as z from 'zod';
import { Firmware, firmwareStatuses, HardwareTypeName, Timestamp } from '../../lib/firmware/firmware.ts';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const listFirmwaresRoute = defineRoute({
  method: 'GET',
  path: '/v1/firmwares',
  tag: 'Firmwares',
  scope: 'read',
  summary: 'List firmwares, the newest version_num first',
  query: z.strictObject({ hardware_type: HardwareTypeName.optional(), status: z.enum(firmwareStatuses).optional(), ...PageQuery }),
  responses: { 200: { description: 'A page of firmwares', body: pageOf(Firmware) } },
});

export const getFirmwareRoute = defineRoute({
  method: 'GET',
  path: '/v1/firmwares/{id}',
  tag: 'Firmwares',
  scope: 'read',
  summary: 'One firmware, with a fresh link to its file',
  pathParameters: IdInPath,
  responses: {
    200: {
      description: 'The firmware; download_url is null unless it is available',
      body: Firmware.extend({ download_url: z.url().nullable(), download_expires_dt: Timestamp.nullable() }).meta({
        id: 'FirmwareDownload',
      }),
    },
  },
  problems: [404],
});
