import * as z from 'zod/mini';
import { IdempotencyHeaders } from '../../lib/http/idempotency.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { DryRun, DryRunDevices, DryRunPage } from '../../lib/update/plan/dry-run.ts';
import { Update } from '../../lib/update/update.ts';
import { UpdateRequest } from '../../lib/update/update-request.ts';

export const requestUpdateRoute = defineRoute({
  operationId: 'requestUpdate',
  method: 'POST',
  path: '/v1/updates',
  tag: 'Updates',
  scope: 'updates:write',
  summary: 'Ask devices to update',
  description:
    'The answer tells how many devices take part, and how many do not and why. With an Idempotency-Key, the same request may be sent ' +
    'again after a lost answer: it gets the same answer and starts nothing twice.',
  headers: IdempotencyHeaders,
  body: z.safeExtend(UpdateRequest, {
    dry_run: z._default(z.union([z.boolean(), DryRunPage]), false).check(
      z.meta({
        description:
          'true: answers who would be updated and why others would not, and changes nothing; {reason, cursor}: all devices of one reason',
      }),
    ),
  }),
  // 10,000 devices with the longest ids.
  maximumBodyBytes: 1536 * 1024,
  responses: {
    202: { description: 'The update will be carried out', body: Update, location: 'The update' },
    200: { description: 'The answer of a dry run, or a page of its devices', body: z.union([DryRun, DryRunDevices]) },
  },
  problems: [409, 422],
});
