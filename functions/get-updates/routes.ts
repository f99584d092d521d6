import * as z from 'zod';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { Execution, executionStatuses } from '../../lib/update/execution.ts';
import { Update, updateStatuses } from '../../lib/update/update.ts';

export const listUpdatesRoute = defineRoute({
  method: 'GET',
  path: '/v1/updates',
  tag: 'Updates',
  scope: 'read',
  summary: 'List updates, the latest first',
  query: z.strictObject({ status: z.enum(updateStatuses).optional(), ...PageQuery }),
  responses: { 200: { description: 'A page of updates', body: pageOf(Update) } },
});

export const getUpdateRoute = defineRoute({
  method: 'GET',
  path: '/v1/updates/{id}',
  tag: 'Updates',
  scope: 'read',
  summary: 'One update and how far it is',
  pathParameters: IdInPath,
  responses: { 200: { description: 'The update with its counts by status', body: Update } },
  problems: [404],
});

export const listExecutionsRoute = defineRoute({
  method: 'GET',
  path: '/v1/updates/{id}/executions',
  tag: 'Updates',
  scope: 'read',
  summary: 'The executions of an update: each device, its status and why',
  pathParameters: IdInPath,
  query: z.strictObject({ status: z.enum(executionStatuses).optional(), ...PageQuery }),
  responses: { 200: { description: 'A page of executions', body: pageOf(Execution) } },
  problems: [404],
});
