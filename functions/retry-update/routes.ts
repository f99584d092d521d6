import * as z from 'zod/mini';
import { Comment } from '../../lib/firmware/firmware.ts';
import { IdempotencyHeaders } from '../../lib/http/idempotency.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { Update } from '../../lib/update/update.ts';

export const retryUpdateRoute = defineRoute({
  operationId: 'retryUpdate',
  method: 'POST',
  path: '/v1/updates/{id}/retry',
  tag: 'Updates',
  scope: 'updates:write',
  summary: 'Try the failed devices of an ended update again, as a new update that refers to it',
  pathParameters: IdInPath,
  headers: IdempotencyHeaders,
  body: z.prefault(z.strictObject({ comment: z._default(Comment, '') }), {}),
  responses: { 202: { description: 'The new update; it has the settings of the old one', body: Update, location: 'The new update' } },
  problems: [404, 409, 422],
});
