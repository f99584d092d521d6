import * as z from 'zod/mini';
import { AuditLine, auditedResources } from '../../lib/audit/audit-line.ts';
import { RequestedTimestamp } from '../../lib/firmware/firmware.ts';
import { DeviceSort } from '../../lib/fleet/device-sort.ts';
import { CountedGroup, Group, GroupName } from '../../lib/fleet/group.ts';
import { Device } from '../../lib/fleet/shown-device.ts';
import { ZoneName } from '../../lib/fleet/word.ts';
import { Zone } from '../../lib/fleet/zone.ts';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { requestedText } from '../../lib/text.ts';

export const listZonesRoute = defineRoute({
  operationId: 'listZones',
  method: 'GET',
  path: '/v1/zones',
  tag: 'Fleet',
  scope: 'read',
  summary: 'List zones in the order of their names',
  query: z.strictObject(PageQuery),
  responses: { 200: { description: 'A page of zones', body: pageOf(Zone) } },
});

export const getZoneRoute = defineRoute({
  operationId: 'getZone',
  method: 'GET',
  path: '/v1/zones/{name}',
  tag: 'Fleet',
  scope: 'read',
  summary: 'One zone',
  pathParameters: z.object({ name: ZoneName }),
  responses: { 200: { description: 'The zone', body: Zone } },
  problems: [404],
});

export const listGroupsRoute = defineRoute({
  operationId: 'listGroups',
  method: 'GET',
  path: '/v1/groups',
  tag: 'Fleet',
  scope: 'read',
  summary: 'List groups in the order of their names',
  query: z.strictObject(PageQuery),
  responses: { 200: { description: 'A page of groups', body: pageOf(Group) } },
});

const GroupInPath = z.object({ name: GroupName });

export const getGroupRoute = defineRoute({
  operationId: 'getGroup',
  method: 'GET',
  path: '/v1/groups/{name}',
  tag: 'Fleet',
  scope: 'read',
  summary: 'One group, with the number of its members',
  pathParameters: GroupInPath,
  responses: { 200: { description: 'The group', body: CountedGroup } },
  problems: [404],
});

export const listGroupDevicesRoute = defineRoute({
  operationId: 'listGroupDevices',
  method: 'GET',
  path: '/v1/groups/{name}/devices',
  tag: 'Fleet',
  scope: 'read',
  summary: 'List the members of a group at this moment',
  pathParameters: GroupInPath,
  query: z.strictObject({ sort: z.optional(DeviceSort), ...PageQuery }),
  responses: { 200: { description: 'A page of devices', body: pageOf(Device) } },
  problems: [404],
});

export const listAuditRoute = defineRoute({
  operationId: 'listAudit',
  method: 'GET',
  path: '/v1/audit',
  tag: 'Service',
  scope: 'audit:read',
  summary: 'List what callers have changed, the latest first',
  description:
    'One line for each change that a caller has asked for. The line and the change are stored together, so neither is ever without the other. Reports of devices are not changes in this sense. Lines are never changed or removed.',
  query: z.strictObject({
    caller: z.optional(requestedText(255)).check(z.meta({ description: 'The subject of the token' })),
    action: z.optional(requestedText(64)),
    resource: z.optional(z.enum(auditedResources)),
    resource_id: z
      .optional(requestedText(255))
      .check(z.meta({ description: 'With `resource`: its id or its name; for a device, `kind/external_id`' })),
    request_id: z.optional(requestedText(128)),
    since: z.optional(RequestedTimestamp),
    until: z.optional(RequestedTimestamp),
    ...PageQuery,
  }),
  responses: { 200: { description: 'A page of changes', body: pageOf(AuditLine) } },
});
