import { Assembly, AssemblyRequest } from '../../lib/assembly/assembly.ts';
import { IdempotencyHeaders } from '../../lib/http/idempotency.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const requestAssemblyRoute = defineRoute({
  operationId: 'requestAssembly',
  method: 'POST',
  path: '/v1/assemblies',
  tag: 'Assemblies',
  scope: 'firmware:write',
  summary: 'Put several firmwares together into one package that devices install by SWUpdate',
  description:
    'Reserves the version of the package. The parts are checked against what was registered while the package is written; it becomes ' +
    '`available` as any other firmware does. A device that reports the version of the package is taken to run the versions of its ' +
    'parts. With an Idempotency-Key, the same request may be sent again after a lost answer: it gets the same answer, and begins nothing ' +
    'twice.',
  headers: IdempotencyHeaders,
  body: AssemblyRequest,
  responses: { 202: { description: 'The package will be made', body: Assembly, location: 'The assembly' } },
  problems: [409, 422],
});
