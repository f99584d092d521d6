import * as z from 'zod/mini';
import { ConfigData, ControllerPath } from '../../lib/ddi/protocol.ts';
import { defineRoute, deviceScope } from '../../lib/http/route.ts';

export const configDataRoute = defineRoute({
  operationId: 'putConfigData',
  method: 'PUT',
  path: '/{tenant}/controller/v1/{controllerId}/configData',
  tag: 'Device protocol',
  scope: deviceScope,
  summary: 'The attributes of the device, above all which version it runs',
  description: 'The key is `version_attribute` of the hardware type, `{hardware_type}_version` unless it is told otherwise.',
  pathParameters: ControllerPath,
  body: ConfigData,
  maximumBodyBytes: 1024 * 1024,
  responses: { 200: { description: 'Taken', body: z.object({}) } },
});
