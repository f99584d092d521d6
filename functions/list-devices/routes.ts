import * as z from 'zod/mini';
import { DeviceConditions } from '../../lib/fleet/device.ts';
import { Device } from '../../lib/fleet/shown-device.ts';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const listDevicesRoute = defineRoute({
  operationId: 'listDevices',
  method: 'GET',
  path: '/v1/devices',
  tag: 'Devices',
  scope: 'read',
  summary: 'List devices and what they run, in the order in which they were registered, or by external_id',
  description:
    'Conditions may be combined. Which scooters run vega_gsm older than 1.4, and since when: ask `GET /v1/firmwares` for ' +
    '`hardware_type=vega_gsm&version=1.4`, then this for `kind=scooter` and `older_than_firmware_id` with the id of that firmware; since ' +
    'when is the `firmware_update_dt` of the vega_gsm among the `firmwares` of each device.',
  query: z.strictObject({ ...DeviceConditions, ...PageQuery }).check(
    z.refine(({ kind, version }) => kind !== 'cabinet' || version === undefined, {
      path: ['version'],
      error: 'only scooters have a version',
    }),
  ),
  responses: { 200: { description: 'A page of devices', body: pageOf(Device) } },
});
