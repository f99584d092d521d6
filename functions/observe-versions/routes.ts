import { IdempotencyHeaders } from '../../lib/http/idempotency.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { Observation, ObservationRequest } from '../../lib/observation/observation.ts';

export const observeVersionsRoute = defineRoute({
  operationId: 'requestObservation',
  method: 'POST',
  path: '/v1/observations',
  tag: 'Devices',
  scope: 'devices:write',
  summary: 'Ask devices, through the backend, what they run now',
  description:
    'The devices are asked one chunk after the other, at the pace asked for; what they answer is stored as reports are. A whole fleet ' +
    'that this service has never seen is imported by `{"targets": {"filter": {}}, "add_unknown": true}`. With an Idempotency-Key, the ' +
    'same request may be sent again after a lost answer: it gets the same answer and starts nothing twice.',
  headers: IdempotencyHeaders,
  body: ObservationRequest,
  // 10,000 devices with the longest ids.
  maximumBodyBytes: 1536 * 1024,
  responses: { 202: { description: 'The devices will be asked', body: Observation, location: 'The observation' } },
  problems: [422],
});

const control = {
  method: 'POST',
  tag: 'Devices',
  scope: 'devices:write',
  pathParameters: IdInPath,
  responses: { 200: { description: 'The observation as it is now', body: Observation } },
  problems: [404],
} as const;

export const resumeObservationRoute = defineRoute({
  ...control,
  operationId: 'resumeObservation',
  path: '/v1/observations/{id}/resume',
  summary: 'Have an observation that stands still go on: its message is sent again',
});

export const cancelObservationRoute = defineRoute({
  ...control,
  operationId: 'cancelObservation',
  path: '/v1/observations/{id}/cancel',
  summary: 'End an observation: no more devices are asked, and what was learned stays',
});
