import { ControllerBase, ControllerPath } from '../../lib/ddi/protocol.ts';
import { defineRoute, deviceScope } from '../../lib/http/route.ts';

export const pollRoute = defineRoute({
  operationId: 'pollController',
  method: 'GET',
  path: '/{tenant}/controller/v1/{controllerId}',
  tag: 'Device protocol',
  scope: deviceScope,
  summary: 'Whether there is something to do, and when to ask again',
  pathParameters: ControllerPath,
  responses: { 200: { description: 'Links to what there is to do; none when there is nothing', body: ControllerBase } },
});
