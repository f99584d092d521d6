import * as z from 'zod/mini';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { Observation, ObservationWithChanges, observationStatuses } from '../../lib/observation/observation.ts';

export const listObservationsRoute = defineRoute({
  operationId: 'listObservations',
  method: 'GET',
  path: '/v1/observations',
  tag: 'Devices',
  scope: 'read',
  summary: 'List observations, the latest first',
  query: z.strictObject({ status: z.optional(z.enum(observationStatuses)), ...PageQuery }),
  responses: { 200: { description: 'A page of observations', body: pageOf(Observation) } },
});

export const getObservationRoute = defineRoute({
  operationId: 'getObservation',
  method: 'GET',
  path: '/v1/observations/{id}',
  tag: 'Devices',
  scope: 'read',
  summary: 'One observation, how far it is and what it has changed',
  pathParameters: IdInPath,
  query: z.strictObject(PageQuery),
  responses: { 200: { description: 'The observation and a page of its changes', body: ObservationWithChanges } },
  problems: [404],
});
