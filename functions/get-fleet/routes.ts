import * as z from 'zod/mini';
import { ZoneName } from '../../lib/fleet/word.ts';
import { Zone } from '../../lib/fleet/zone.ts';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { defineRoute } from '../../lib/http/route.ts';

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
