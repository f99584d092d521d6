import * as z from 'zod';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { Rollout, Update } from '../../lib/update/update.ts';

const Answer = z
  .object({
    changed: z.boolean().meta({ description: 'false: it was so already, and nothing was done' }),
    canceled: z.int().meta({ description: 'Executions that this call has ended' }),
    update: Update,
  })
  .meta({ id: 'ControlAnswer' });
const responses = { 200: { description: 'What was done, and the update as it is now', body: Answer } };
const reason = z.string().max(500).nullable().default(null).meta({ description: 'Shown with the update' });

const common = { tag: 'Updates', scope: 'updates:write', pathParameters: IdInPath, responses, problems: [404, 409] } as const;

export const cancelUpdateRoute = defineRoute({
  ...common,
  method: 'POST',
  path: '/v1/updates/{id}/cancel',
  summary: 'End an update: devices that wait are never asked, those at work finish',
  body: z
    .strictObject({
      force: z.boolean().default(false).meta({ description: 'End the record of devices at work as well, whatever they do then' }),
      reason,
    })
    .prefault({}),
});

export const pauseUpdateRoute = defineRoute({
  ...common,
  method: 'POST',
  path: '/v1/updates/{id}/pause',
  summary: 'Ask no more devices until the update is resumed',
  body: z.strictObject({ reason }).prefault({}),
});

export const resumeUpdateRoute = defineRoute({
  ...common,
  method: 'POST',
  path: '/v1/updates/{id}/resume',
  summary: 'Go on with a paused update',
  body: z.strictObject({}).prefault({}),
});

export const changePaceRoute = defineRoute({
  ...common,
  method: 'PATCH',
  path: '/v1/updates/{id}',
  summary: 'Change the pace of an update',
  body: z.strictObject({
    rollout: z.strictObject({
      maximum_per_minute: Rollout.shape.maximum_per_minute.unwrap().optional(),
      maximum_in_progress: Rollout.shape.maximum_in_progress.unwrap().optional(),
      exponential: Rollout.shape.exponential.unwrap().optional(),
    }),
  }),
});
