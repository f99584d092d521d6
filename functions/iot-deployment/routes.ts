import { ActionPath, CancelAction, Deployment, DeploymentQuery } from '../../lib/ddi/protocol.ts';
import { defineRoute, deviceScope } from '../../lib/http/route.ts';

export const getDeploymentRoute = defineRoute({
  operationId: 'getDeployment',
  method: 'GET',
  path: '/{tenant}/controller/v1/{controllerId}/deploymentBase/{actionId}',
  tag: 'Device protocol',
  scope: deviceScope,
  summary: 'What to install',
  description: 'With this answer the device has been asked, and its deadline begins.',
  pathParameters: ActionPath,
  query: DeploymentQuery,
  responses: { 200: { description: 'One chunk with one file', body: Deployment } },
  problems: [404],
});

export const getCancelActionRoute = defineRoute({
  operationId: 'getCancelAction',
  method: 'GET',
  path: '/{tenant}/controller/v1/{controllerId}/cancelAction/{actionId}',
  tag: 'Device protocol',
  scope: deviceScope,
  summary: 'What to stop',
  pathParameters: ActionPath,
  responses: { 200: { description: 'The action to be stopped', body: CancelAction } },
  problems: [404],
});

export const getInstalledBaseRoute = defineRoute({
  operationId: 'getInstalledBase',
  method: 'GET',
  path: '/{tenant}/controller/v1/{controllerId}/installedBase/{actionId}',
  tag: 'Device protocol',
  scope: deviceScope,
  summary: 'What was installed',
  pathParameters: ActionPath,
  query: DeploymentQuery,
  responses: { 200: { description: 'As it was to be installed', body: Deployment } },
  problems: [404],
});
