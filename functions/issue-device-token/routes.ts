import * as z from 'zod/mini';
import { DeviceKind, ExternalId } from '../../lib/fleet/device.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const issueDeviceTokenRoute = defineRoute({
  operationId: 'issueDeviceToken',
  method: 'POST',
  path: '/v1/devices/{kind}/{external_id}/token',
  tag: 'Devices',
  scope: 'devices:write',
  summary: 'A new token for a device that polls',
  description: 'It is shown this once. The token that the device had before is worth nothing from then on.',
  pathParameters: z.object({ kind: DeviceKind, external_id: ExternalId }),
  body: z.prefault(z.strictObject({}), {}),
  responses: {
    201: {
      description: 'Goes into the device: `Authorization: TargetToken …`',
      body: z.object({ token: z.string().check(z.meta({ description: '256 random bits, base64url' })) }),
    },
  },
  problems: [404, 409],
});
