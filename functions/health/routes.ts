import * as z from 'zod/mini';
import { defineRoute } from '../../lib/http/route.ts';

export const healthRoute = defineRoute({
  operationId: 'getHealth',
  method: 'GET',
  path: '/v1/health',
  tag: 'Service',
  scope: null,
  summary: 'Whether the service and its database work',
  responses: { 200: { description: 'They do', body: z.object({ status: z.literal('ok'), database: z.literal('ok') }) } },
});
