import * as z from 'zod/mini';
import { DeviceKind, ExternalId } from '../../lib/fleet/device.ts';
import { DeviceWithHistory, ScooterWithHistory } from '../../lib/fleet/device-detail.ts';
import { Device } from '../../lib/fleet/shown-device.ts';
import { PageQuery } from '../../lib/http/page.ts';
import { Flag } from '../../lib/http/query-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';

const ExternalIdInPath = z.object({ external_id: ExternalId });

/** The page is one of the history. */
const HistoryQuery = z.strictObject({ history: Flag.check(z.meta({ description: 'Also every version it ran before' })), ...PageQuery });

export const getScooterRoute = defineRoute({
  operationId: 'getScooter',
  method: 'GET',
  path: '/v1/scooters/{external_id}',
  tag: 'Devices',
  scope: 'read',
  summary: 'What a scooter runs now, and what it ran before',
  pathParameters: ExternalIdInPath,
  query: HistoryQuery,
  responses: { 200: { description: 'The scooter and its firmwares', body: ScooterWithHistory } },
  problems: [404],
});

export const getCabinetRoute = defineRoute({
  operationId: 'getCabinet',
  method: 'GET',
  path: '/v1/cabinets/{external_id}',
  tag: 'Devices',
  scope: 'read',
  summary: 'What a cabinet runs now, and what it ran before',
  pathParameters: ExternalIdInPath,
  query: HistoryQuery,
  responses: { 200: { description: 'The cabinet and its firmwares', body: DeviceWithHistory } },
  problems: [404],
});

export const lookUpDevicesRoute = defineRoute({
  operationId: 'lookUpDevices',
  method: 'POST',
  path: '/v1/devices/lookup',
  tag: 'Devices',
  scope: 'read',
  summary: 'What up to 1,000 devices run now',
  body: z.strictObject({
    kind: z._default(DeviceKind, 'scooter'),
    external_ids: z.array(ExternalId).check(z.minLength(1), z.maxLength(1_000)),
  }),
  maximumBodyBytes: 256 * 1024,
  responses: {
    200: {
      description: 'Known devices in the order of their ids, and the ids that are nobody’s',
      body: z.object({ items: z.array(Device), unknown: z.array(z.string()) }),
    },
  },
  problems: [422],
});
