import * as z from 'zod/mini';
import { integerBetween } from '../../lib/http/query-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { Stats } from '../../lib/stats/stats.ts';

export const getStatsRoute = defineRoute({
  operationId: 'getStats',
  method: 'GET',
  path: '/v1/stats',
  tag: 'Service',
  scope: 'read',
  summary: 'The fleet in numbers: versions, update times, devices not seen, updates, rows',
  description:
    'The counts are kept while reports are stored, so that asking costs little however large the fleet is. ' +
    'The same numbers are published as metrics each time this is called.',
  query: z.strictObject({
    not_seen_days: z
      ._default(integerBetween(1, 3_650), 30)
      .check(z.meta({ description: 'Devices last seen more than so many days ago count as not seen' })),
  }),
  responses: { 200: { description: 'The numbers at this moment', body: Stats } },
});
