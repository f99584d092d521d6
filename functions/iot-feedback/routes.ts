import * as z from 'zod/mini';
import { ActionFeedback, ActionPath } from '../../lib/ddi/protocol.ts';
import { defineRoute, deviceScope } from '../../lib/http/route.ts';

/** A device may tell as much as API Gateway and Lambda let through; what is kept of it is cut. */
const maximumBodyBytes = 5 * 1024 * 1024;
const taken = { 200: { description: 'Taken, also when it comes late or again', body: z.object({}) } };

export const deploymentFeedbackRoute = defineRoute({
  operationId: 'sendDeploymentFeedback',
  method: 'POST',
  path: '/{tenant}/controller/v1/{controllerId}/deploymentBase/{actionId}/feedback',
  tag: 'Device protocol',
  scope: deviceScope,
  summary: 'How an installation goes, or has ended',
  pathParameters: ActionPath,
  body: ActionFeedback,
  maximumBodyBytes,
  responses: taken,
  problems: [404],
});

export const cancelFeedbackRoute = defineRoute({
  operationId: 'sendCancelFeedback',
  method: 'POST',
  path: '/{tenant}/controller/v1/{controllerId}/cancelAction/{actionId}/feedback',
  tag: 'Device protocol',
  scope: deviceScope,
  summary: 'Whether the device has stopped',
  pathParameters: ActionPath,
  body: ActionFeedback,
  maximumBodyBytes,
  responses: taken,
  problems: [404],
});
