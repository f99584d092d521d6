import * as z from 'zod/mini';
import { Assembly, assemblyStatuses } from '../../lib/assembly/assembly.ts';
import { HardwareTypeName } from '../../lib/firmware/firmware.ts';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const listAssembliesRoute = defineRoute({
  operationId: 'listAssemblies',
  method: 'GET',
  path: '/v1/assemblies',
  tag: 'Assemblies',
  scope: 'read',
  summary: 'List assemblies, the latest first',
  query: z.strictObject({ hardware_type: z.optional(HardwareTypeName), status: z.optional(z.enum(assemblyStatuses)), ...PageQuery }),
  responses: { 200: { description: 'A page of assemblies', body: pageOf(Assembly) } },
});

export const getAssemblyRoute = defineRoute({
  operationId: 'getAssembly',
  method: 'GET',
  path: '/v1/assemblies/{id}',
  tag: 'Assemblies',
  scope: 'read',
  summary: 'One assembly: how far it is, its parts, and the firmware that it makes',
  pathParameters: IdInPath,
  responses: { 200: { description: 'The assembly', body: Assembly } },
  problems: [404],
});
