import * as z from 'zod/mini';
import { defineRoute } from '../../lib/http/route.ts';
import { ConfirmationOutcome, SentConfirmation } from '../../lib/report/confirmation.ts';

export const confirmUpdateRoute = defineRoute({
  operationId: 'confirmVersions',
  method: 'POST',
  path: '/v1/confirmations',
  tag: 'Updates',
  scope: 'devices:report',
  summary: 'Report what devices run and what became of their updates, up to 1,000 in one call',
  description:
    'Each report has its own outcome, in the order of the reports. A report that is refused or not well-formed does not affect the others. 400 is only about the request as a whole: not an object, no list, or more than 1,000 reports. ' +
    'Sending the same reports again changes nothing.',
  body: z.strictObject({ confirmations: z.array(SentConfirmation).check(z.minLength(1), z.maxLength(1_000)) }),
  maximumBodyBytes: 2 * 1024 * 1024,
  responses: {
    200: { description: 'One outcome per report, in the same order', body: z.object({ outcomes: z.array(ConfirmationOutcome) }) },
  },
});
