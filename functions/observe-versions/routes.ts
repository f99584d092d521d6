import { IdempotencyHeaders } from '../../lib/http/idempotency.ts';
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
  responses: { 202: { description: 'The devices will be asked', body: Observation } },
  problems: [422],
});
