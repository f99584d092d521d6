import * as z from 'zod/mini';
import { deviceFilterQuery } from '../../lib/fleet/device-filter-query.ts';
import { DeviceSort } from '../../lib/fleet/device-sort.ts';
import { DevicePage } from '../../lib/fleet/list-devices.ts';
import { PageQuery } from '../../lib/http/page.ts';
import { Flag } from '../../lib/http/query-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const listDevicesRoute = defineRoute({
  operationId: 'listDevices',
  method: 'GET',
  path: '/v1/devices',
  tag: 'Devices',
  scope: 'read',
  summary: 'List devices and what they run',
  description:
    'Conditions may be combined, and are those of every filter of devices; what is nested there has a dotted name here. Which scooters run vega_gsm older than 1.4, and since when: ask `GET /v1/firmwares` for ' +
    '`hardware_type=vega_gsm&version=1.4`, then this for `kind=scooter` and `older_than_firmware_id` with the id of that firmware; since ' +
    'when is the `firmware_update_dt` of the vega_gsm among the `firmwares` of each device.',
  query: z.strictObject({
    ...deviceFilterQuery,
    sort: z.optional(DeviceSort),
    total: Flag.check(
      z.meta({ description: 'Also count the devices of all pages. They are counted anew each time: ask once, with the first page' }),
    ),
    ...PageQuery,
  }),
  responses: { 200: { description: 'A page of devices', body: DevicePage } },
});
