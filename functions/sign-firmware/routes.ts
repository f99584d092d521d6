import * as z from 'zod/mini';
import { StatementList } from '../../lib/authors/statement.ts';
import { Firmware } from '../../lib/firmware/firmware.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const signFirmwareRoute = defineRoute({
  operationId: 'signFirmware',
  method: 'PUT',
  path: '/v1/firmwares/{id}/signatures',
  tag: 'Firmwares',
  scope: 'firmware:write',
  summary: 'Add what authors have signed about a firmware',
  description:
    'Each statement is a JWS made by `scu firmware sign`: a release, or that devices may go back to this version for a while. It is checked ' +
    'against the bytes and the author keys. A firmware that only waits for signatures becomes available with the last one. Those that are ' +
    'here stay; a later statement of a key takes the place of its former one.',
  pathParameters: IdInPath,
  body: z.strictObject({ signatures: StatementList.check(z.minLength(1)) }),
  responses: { 200: { description: 'The firmware as it is now', body: Firmware } },
  problems: [404, 409],
});
