import * as z from 'zod/mini';
import { HardwareTypeName } from '../../lib/firmware/firmware.ts';
import { integerBetween } from '../../lib/http/query-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { maximumShownDays, Stats, VersionDays } from '../../lib/stats/stats.ts';

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

export const getVersionDaysRoute = defineRoute({
  operationId: 'getVersionDays',
  method: 'GET',
  path: '/v1/stats/versions',
  tag: 'Service',
  scope: 'read',
  summary: 'Which share of the devices ran each version of a hardware type, day by day',
  description:
    'As each day ended, in UTC. The counts are kept when the first report of a day is stored, so a firmware that nobody runs any more is still ' +
    'in them; they are kept as long as history is.',
  query: z.strictObject({
    hardware_type: HardwareTypeName,
    days: z._default(integerBetween(1, maximumShownDays), 90).check(z.meta({ description: 'How many days, today included' })),
  }),
  responses: { 200: { description: 'The counts of each day', body: VersionDays } },
});
