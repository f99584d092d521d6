import * as z from 'zod/mini';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { requestedText } from '../../lib/text.ts';
import { RolloutChange } from '../../lib/update/rollout.ts';
import { Update } from '../../lib/update/update.ts';

const Answer = z
  .object({
    changed: z.boolean().check(z.meta({ description: 'false: it was so already, and nothing was done' })),
    canceled: z.int().check(z.meta({ description: 'Executions that this call has ended, 2,000 at most' })),
    canceling: z.int().check(
      z.meta({
        description:
          'Executions that are being ended, within a minute or two for a million. None of their devices is asked any more, and each of them can take part in another update at once',
      }),
    ),
    update: Update,
  })
  .register(z.globalRegistry, { id: 'ControlAnswer' });
const responses = { 200: { description: 'What was done, and the update as it is now', body: Answer } };
const reason = z._default(z.nullable(requestedText(500)), null).check(z.meta({ description: 'Shown with the update' }));

const common = { tag: 'Updates', scope: 'updates:write', pathParameters: IdInPath, responses, problems: [404, 409] } as const;

export const cancelUpdateRoute = defineRoute({
  operationId: 'cancelUpdate',
  ...common,
  method: 'POST',
  path: '/v1/updates/{id}/cancel',
  summary: 'End an update: devices that wait are never asked, those at work finish',
  description:
    'The update is CANCELED at once, whatever its size, and nobody is asked after this call; its counts follow. A device that polls and has been offered the update, but has not begun, is offered it no more. One ' +
    'that is at work finds a `cancelAction` at its next poll: it stops and says so (CANCELED), or goes on, and then its result counts. ' +
    '`force` ends their record at once; a device that installs all the same is seen on the new version, and counts as late.',
  body: z.prefault(
    z.strictObject({
      force: z
        ._default(z.boolean(), false)
        .check(
          z.meta({ description: 'End the executions of devices at work too. What these devices do after that does not change the result' }),
        ),
      reason,
    }),
    {},
  ),
});

export const pauseUpdateRoute = defineRoute({
  operationId: 'pauseUpdate',
  ...common,
  method: 'POST',
  path: '/v1/updates/{id}/pause',
  summary: 'Ask no more devices until the update is resumed',
  body: z.prefault(z.strictObject({ reason }), {}),
});

export const resumeUpdateRoute = defineRoute({
  operationId: 'resumeUpdate',
  ...common,
  method: 'POST',
  path: '/v1/updates/{id}/resume',
  summary: 'Go on with a paused update',
  body: z.prefault(z.strictObject({}), {}),
});

const remark = requestedText(2_000);
const decision = { ...common, scope: 'updates:approve', problems: [403, 404, 409, 422], method: 'POST' } as const;

export const approveUpdateRoute = defineRoute({
  operationId: 'approveUpdate',
  ...decision,
  path: '/v1/updates/{id}/approve',
  summary: 'Let an update begin that waits for approval',
  description:
    'Never by who requested it (403 `approval.second_person`). Repeating it changes nothing. Refused when the update has ended, or its firmware is withdrawn.',
  body: z.prefault(z.strictObject({ remark: z._default(remark, '').check(z.meta({ description: 'Shown with the update' })) }), {}),
});

export const rejectUpdateRoute = defineRoute({
  operationId: 'rejectUpdate',
  ...decision,
  path: '/v1/updates/{id}/reject',
  summary: 'End an update that waits for approval',
  description: 'Never by who requested it (403 `approval.second_person`), who can cancel it. The update is CANCELED.',
  body: z.strictObject({ remark: remark.check(z.minLength(1), z.meta({ description: 'Why; shown with the update' })) }),
});

export const changePaceRoute = defineRoute({
  operationId: 'changeUpdatePace',
  ...common,
  method: 'PATCH',
  path: '/v1/updates/{id}',
  summary: 'Change the pace of an update',
  body: z.strictObject({
    rollout: RolloutChange,
  }),
});
