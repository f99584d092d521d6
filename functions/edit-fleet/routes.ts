import * as z from 'zod/mini';
import { DeviceKind, ExternalId } from '../../lib/fleet/device.ts';
import { Group, GroupChange, GroupName, NewGroup } from '../../lib/fleet/group.ts';
import { Device } from '../../lib/fleet/shown-device.ts';
import { TaggedDevices, TagRequest } from '../../lib/fleet/tag-devices.ts';
import { ZoneName } from '../../lib/fleet/word.ts';
import { NewZone, Zone, ZoneChange } from '../../lib/fleet/zone.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { DeviceChange } from '../../lib/update/change-device.ts';

export const changeDeviceRoute = defineRoute({
  operationId: 'changeDevice',
  method: 'PATCH',
  path: '/v1/devices/{kind}/{external_id}',
  tag: 'Devices',
  scope: 'devices:write',
  summary: 'Change one device',
  description: 'What is not named stays as it is; null takes it away.',
  pathParameters: z.object({ kind: DeviceKind, external_id: ExternalId }),
  body: DeviceChange,
  responses: { 200: { description: 'The device as it is now', body: Device } },
  problems: [404, 409],
});

export const tagDevicesRoute = defineRoute({
  operationId: 'tagDevices',
  method: 'POST',
  path: '/v1/devices/tags',
  tag: 'Devices',
  scope: 'devices:write',
  summary: 'Add tags to many devices, and take others away',
  description:
    'Of devices that are named, or that a filter means: of all of them or of none. A device has up to 20 tags. Sending the same again changes ' +
    'nothing.',
  body: TagRequest,
  maximumBodyBytes: 2 * 1024 * 1024,
  responses: { 200: { description: 'How many devices were changed', body: TaggedDevices } },
  problems: [409],
});

export const addZoneRoute = defineRoute({
  operationId: 'addZone',
  method: 'POST',
  path: '/v1/zones',
  tag: 'Fleet',
  scope: 'devices:write',
  summary: 'Add a zone',
  description:
    'Where devices stand: its local time, when they may be asked, and how many of them at once. The same request again changes nothing.',
  body: NewZone,
  responses: {
    201: { description: 'Added', body: Zone },
    200: { description: 'Was added by the same request before', body: Zone },
  },
  problems: [409],
});

const ZoneInPath = z.object({ name: ZoneName });

export const changeZoneRoute = defineRoute({
  operationId: 'changeZone',
  method: 'PATCH',
  path: '/v1/zones/{name}',
  tag: 'Fleet',
  scope: 'devices:write',
  summary: 'Change a zone',
  description: 'What is not named stays as it is. It holds for updates that are under way, too.',
  pathParameters: ZoneInPath,
  body: ZoneChange,
  responses: { 200: { description: 'The zone as it is now', body: Zone } },
  problems: [404],
});

export const deleteZoneRoute = defineRoute({
  operationId: 'deleteZone',
  method: 'DELETE',
  path: '/v1/zones/{name}',
  tag: 'Fleet',
  scope: 'devices:write',
  summary: 'Delete a zone that no device is in',
  pathParameters: ZoneInPath,
  responses: { 204: { description: 'Deleted', body: null } },
  problems: [404, 409],
});

export const addGroupRoute = defineRoute({
  operationId: 'addGroup',
  method: 'POST',
  path: '/v1/groups',
  tag: 'Fleet',
  scope: 'devices:write',
  summary: 'Add a group',
  description: 'A filter of devices that has a name, and can be the target of an update. The same request again changes nothing.',
  body: NewGroup,
  responses: {
    201: { description: 'Added', body: Group },
    200: { description: 'Was added by the same request before', body: Group },
  },
  problems: [409],
});

const GroupInPath = z.object({ name: GroupName });

export const changeGroupRoute = defineRoute({
  operationId: 'changeGroup',
  method: 'PATCH',
  path: '/v1/groups/{name}',
  tag: 'Fleet',
  scope: 'devices:write',
  summary: 'Change which devices a group means',
  description:
    'A filter is replaced as a whole. Updates that were requested for the group keep the devices that they have; continuous ones also take in its new members.',
  pathParameters: GroupInPath,
  body: GroupChange,
  responses: { 200: { description: 'The group as it is now', body: Group } },
  problems: [404],
});

export const deleteGroupRoute = defineRoute({
  operationId: 'deleteGroup',
  method: 'DELETE',
  path: '/v1/groups/{name}',
  tag: 'Fleet',
  scope: 'devices:write',
  summary: 'Delete a group',
  description: 'Its devices stay as they are. Refused while a continuous update that is open takes its devices from it.',
  pathParameters: GroupInPath,
  responses: { 204: { description: 'Deleted', body: null } },
  problems: [404, 409],
});
