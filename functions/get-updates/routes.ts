import * as z from 'zod/mini';
import { HardwareTypeName, RequestedTimestamp } from '../../lib/firmware/firmware.ts';
import { ExternalId } from '../../lib/fleet/device.ts';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { integerBetween, YesOrNo } from '../../lib/http/query-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { requestedText } from '../../lib/text.ts';
import { executionStatuses } from '../../lib/update/execution.ts';
import { executionSorts } from '../../lib/update/execution-queries.ts';
import { listEligibilities } from '../../lib/update/reasons.ts';
import { DeviceExecution, Execution } from '../../lib/update/shown-execution.ts';
import { Timeline } from '../../lib/update/timeline.ts';
import { Exclusion, eligibilities, Update, UpdateDetail } from '../../lib/update/update.ts';
import { updateSorts } from '../../lib/update/update-page-queries.ts';
import { updateStatuses } from '../../lib/update/update-status.ts';

export const listUpdatesRoute = defineRoute({
  operationId: 'listUpdates',
  method: 'GET',
  path: '/v1/updates',
  tag: 'Updates',
  scope: 'read',
  summary: 'List updates',
  description:
    'Conditions may be combined. How many updates there are in each status: `updates` of `GET /v1/stats`; how many executions an update has ' +
    'in each status and by reason: `counts` of each update, and `reasons` of `GET /v1/updates/{id}`.',
  query: z.strictObject({
    status: z.optional(z.enum(updateStatuses)),
    firmware_id: z.optional(IdInPath.shape.id).check(z.meta({ description: 'To this firmware' })),
    hardware_type: z.optional(HardwareTypeName).check(z.meta({ description: 'To a firmware of this hardware type' })),
    created_by: z.optional(requestedText(255)).check(z.meta({ description: 'Requested by this caller: the `sub` of the token' })),
    sort: z
      .optional(z.enum(updateSorts))
      .check(z.meta({ description: 'The order in which they were requested; the latest first is the default' })),
    ...PageQuery,
  }),
  responses: { 200: { description: 'A page of updates', body: pageOf(Update) } },
});

export const getUpdateRoute = defineRoute({
  operationId: 'getUpdate',
  method: 'GET',
  path: '/v1/updates/{id}',
  tag: 'Updates',
  scope: 'read',
  summary: 'One update and how far it is',
  pathParameters: IdInPath,
  responses: { 200: { description: 'The update with its counts by status', body: UpdateDetail } },
  problems: [404],
});

const moment = z.optional(RequestedTimestamp);

export const getTimelineRoute = defineRoute({
  operationId: 'getUpdateTimeline',
  method: 'GET',
  path: '/v1/updates/{id}/timeline',
  tag: 'Updates',
  scope: 'read',
  summary: 'How many executions of an update had each status over time',
  description:
    'From the start of the update, or its request while it has not started, to its end, or to now while it has not ended. It is made from ' +
    'the times of each execution: one that is asked again counts as QUEUED until its latest command. At the last point the counts are those ' +
    'of the update.',
  pathParameters: IdInPath,
  query: z
    .strictObject({
      points: z
        ._default(integerBetween(2, 500), 60)
        .check(z.meta({ description: 'Moments, evenly spread, the first and the last one included; fewer within a few milliseconds' })),
      from_dt: moment.check(z.meta({ description: 'The first moment, instead of the start' })),
      until_dt: moment.check(z.meta({ description: 'The last moment, if it is before the end' })),
    })
    .check(
      z.refine(({ from_dt, until_dt }) => !from_dt || !until_dt || from_dt < until_dt, {
        path: ['until_dt'],
        error: 'must be after from_dt',
      }),
    ),
  responses: { 200: { description: 'The counts at each moment', body: Timeline } },
  problems: [404],
});

export const listExecutionsRoute = defineRoute({
  operationId: 'listExecutions',
  method: 'GET',
  path: '/v1/updates/{id}/executions',
  tag: 'Updates',
  scope: 'read',
  summary: 'The executions of an update: each device, its status and why',
  pathParameters: IdInPath,
  query: z.strictObject({
    status: z.optional(z.enum(executionStatuses)),
    reason: z
      .optional(requestedText(64))
      .check(z.meta({ description: 'Without the text after the colon that some have', example: 'DEFERRED' })),
    external_id: z.optional(ExternalId).check(z.meta({ description: 'Of this device alone' })),
    is_canary: YesOrNo.check(z.meta({ description: 'true: of the canary alone; false: of all others' })),
    sort: z.optional(z.enum(executionSorts)).check(
      z.meta({
        description:
          'id: the order in which they were planned; id_ascending is the default. finished_dt: by their end; those that have not ended come ' +
          'after all others in both directions',
      }),
    ),
    ...PageQuery,
  }),
  responses: { 200: { description: 'A page of executions', body: pageOf(Execution) } },
  problems: [404],
});

export const listExclusionsRoute = defineRoute({
  operationId: 'listExclusions',
  method: 'GET',
  path: '/v1/updates/{id}/exclusions',
  tag: 'Updates',
  scope: 'read',
  summary: 'The devices that were chosen for an update and do not take part, and why',
  description: 'By reason, then by external_id. Empty when they are no longer kept: the update then says so in `executions_removed_dt`.',
  pathParameters: IdInPath,
  query: z.strictObject({
    reason: z
      .optional(z.enum(eligibilities))
      .check(z.meta({ description: `Only devices with this reason.\n\n${listEligibilities()}`, example: 'DOWNGRADE' })),
    ...PageQuery,
  }),
  responses: { 200: { description: 'A page of devices', body: pageOf(Exclusion) } },
  problems: [404],
});

const devicePast = {
  method: 'GET',
  tag: 'Updates',
  scope: 'read',
  pathParameters: z.object({ external_id: ExternalId }),
  query: z.strictObject(PageQuery),
  responses: { 200: { description: 'A page of executions, the latest first', body: pageOf(DeviceExecution) } },
  problems: [404],
} as const;

export const listScooterUpdatesRoute = defineRoute({
  operationId: 'listScooterUpdates',
  ...devicePast,
  path: '/v1/scooters/{external_id}/updates',
  summary: 'The updates a scooter was part of',
});

export const listCabinetUpdatesRoute = defineRoute({
  operationId: 'listCabinetUpdates',
  ...devicePast,
  path: '/v1/cabinets/{external_id}/updates',
  summary: 'The updates a cabinet was part of',
});
