import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { endpoint, type HttpHandler, json, operation } from '../../../lib/http/endpoint.ts';
import { defineRoute } from '../../../lib/http/route.ts';
import { silentLog } from '../../support/fixtures.ts';
import { createContext, createEvent } from '../../support/http.ts';
import { createRecordingMetrics } from '../../support/recording-metrics.ts';

const route = defineRoute({
  operationId: 'testRoute',
  method: 'POST',
  path: '/v1/things/{id}',
  tag: 'Service',
  scope: 'read',
  summary: 'A thing',
  pathParameters: z.object({ id: z.string() }),
  body: z.strictObject({ answer: z.enum(['well', 'badly']) }),
  responses: { 200: { description: 'The thing', body: z.object({}) } },
});

const setup = () => {
  const metrics = createRecordingMetrics();
  const authenticate = async () => ({ subject: 'tester', scopes: new Set(['read']) });
  const handler = endpoint(
    operation({ authenticate, log: silentLog, metrics }, route, async ({ body }) => {
      if (body.answer === 'badly') throw new Error('secret of the cause');
      return json(200, {});
    }),
  );
  return { metrics, handler };
};

const call = (handler: HttpHandler, body: unknown) =>
  handler(
    createEvent({ method: 'POST', path: '/v1/things/{id}', pathParameters: { id: 'S-00017' }, body, token: 'secret.of.caller' }),
    createContext(),
  );

describe('a request', () => {
  it.each([
    [200, 0, { answer: 'well' }],
    [400, 0, { answer: 'otherwise' }],
    [500, 1, { answer: 'badly' }],
  ])('that is answered %i is measured once: by function, and by function and route', async (statusCode, serverErrors, body) => {
    const { metrics, handler } = setup();
    expect(await call(handler, body)).toMatchObject({ statusCode });
    expect(metrics.published).toEqual([
      {
        values: {
          requests: { unit: 'Count', value: 1 },
          server_errors: { unit: 'Count', value: serverErrors },
          response_time: { unit: 'Milliseconds', value: expect.any(Number) },
        },
        dimensionSets: [{ function: 'test' }, { function: 'test', route: 'POST /v1/things/{id}' }],
      },
    ]);
    const { value } = metrics.published[0]?.values['response_time'] ?? { value: Number.NaN };
    expect(value).toBeGreaterThan(0);
  });

  it('leaves nothing of what came with it in the metrics', async () => {
    const { metrics, handler } = setup();
    for (const answer of ['well', 'badly', 'secret of body']) await call(handler, { answer });
    expect(JSON.stringify(metrics.published)).not.toMatch(/secret|S-00017|tester/);
  });
});
