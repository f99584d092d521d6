import { ArtifactPath } from '../../lib/ddi/protocol.ts';
import { defineRoute, deviceScope } from '../../lib/http/route.ts';

const route = {
  path: '/{tenant}/controller/v1/{controllerId}/softwaremodules/{softwareModuleId}/artifacts/{filename}',
  tag: 'Device protocol',
  scope: deviceScope,
  pathParameters: ArtifactPath,
  responses: { 302: { description: 'To a link of S3 that works for this method, for an hour', body: null, location: 'The file in S3' } },
  problems: [404],
} as const;

export const downloadRoute = defineRoute({
  operationId: 'downloadArtifact',
  ...route,
  method: 'GET',
  summary: 'The file to install',
});
export const probeDownloadRoute = defineRoute({
  operationId: 'probeArtifact',
  ...route,
  method: 'HEAD',
  summary: 'How large the file to install is',
});
