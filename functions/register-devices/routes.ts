import * as z from 'zod/mini';
import { DeviceKind, ExternalId } from '../../lib/fleet/device.ts';
import { RefusedDevices, SentDevice } from '../../lib/fleet/sent-devices.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const registerDevicesRoute = defineRoute({
  operationId: 'registerDevices',
  method: 'PUT',
  path: '/v1/devices',
  tag: 'Devices',
  scope: 'devices:write',
  summary: 'Add and change devices, up to 10,000 in one call',
  description:
    'Of `zone`, `tags` and `revision`, what is not named stays as it is, and null takes it away. `version` and `channel` have defaults and so ' +
    'are always set. To change one device in one field, use `PATCH`.',
  body: z.strictObject({
    devices: z.array(SentDevice).check(z.minLength(1), z.maxLength(10_000)),
    partial: z._default(z.boolean(), false).check(
      z.meta({
        description:
          'Whether a device that is not well-formed, or comes twice, is refused by itself, and the others are stored. ' +
          'Without it all of them are stored or none',
      }),
    ),
    issue_tokens: z
      ._default(z.boolean(), false)
      .check(z.meta({ description: 'Whether those that poll and have no token get one: it is shown in this answer and never again' })),
  }),
  // 10,000 devices with the longest ids.
  maximumBodyBytes: 3 * 1024 * 1024,
  responses: {
    200: {
      description: 'All of them are stored; with `partial`, those that are not refused',
      body: z.object({
        created: z.int(),
        changed: z.int(),
        unchanged: z.int(),
        refused_count: z.optional(RefusedDevices.shape.refused_count).check(z.meta({ description: 'With `partial`' })),
        refused: z.optional(RefusedDevices.shape.refused).check(z.meta({ description: 'With `partial`: why, of the first 1,000' })),
        tokens: z
          .optional(z.array(z.object({ kind: DeviceKind, external_id: ExternalId, token: z.string() })))
          .check(z.meta({ description: 'First tokens, when they were asked for' })),
      }),
    },
  },
});
