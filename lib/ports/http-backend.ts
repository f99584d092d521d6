import * as z from 'zod';
import { type Backend, BackendRefusal, BackendUnavailable, type CommandOutcome } from './backend.ts';

const CommandResults = z.object({
  results: z.array(
    z.discriminatedUnion('outcome', [
      z.object({ execution_id: z.int(), outcome: z.literal('accepted') }),
      z.object({
        execution_id: z.int(),
        outcome: z.literal('deferred'),
        reason: z.string(),
        retry_after_seconds: z.number().min(0).max(604_800),
      }),
      z.object({ execution_id: z.int(), outcome: z.literal('rejected'), reason: z.string() }),
    ]),
  ),
});

/** Refusals that an operator mends (a token, a limit), so that the commands only have to wait. */
const passingRefusals = new Set([401, 403, 404, 408, 425, 429]);

/** Seconds or a date, as RFC 9110 section 10.2.3 has it. */
const parseRetryAfter = (header: string | null): number | undefined => {
  if (header === null) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, 3_600) : undefined;
};

export interface HttpBackendOptions {
  url: string;
  token: string;
}

/** scooters-backend over HTTP, as scooters-backend.openapi.yaml describes it. */
export const createHttpBackend = ({ url, token }: HttpBackendOptions): Backend => ({
  async sendCommands(commands, { idempotencyKey, requestId, timeoutMilliseconds }): Promise<CommandOutcome[]> {
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(new URL('/v1/firmware-commands', url), {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'idempotency-key': idempotencyKey,
          'x-request-id': requestId,
        },
        body: JSON.stringify({ commands }),
        signal: AbortSignal.timeout(timeoutMilliseconds),
        redirect: 'error',
      });
      body = response.ok ? await response.json() : await response.body?.cancel();
    } catch (error) {
      const isLate = error instanceof Error && error.name === 'TimeoutError';
      throw new BackendUnavailable(isLate ? 'backend did not answer in time' : 'backend cannot be reached', { cause: error });
    }
    if (!response.ok) {
      const retryAfterSeconds = parseRetryAfter(response.headers.get('retry-after'));
      if (response.status < 500 && !passingRefusals.has(response.status)) throw new BackendRefusal(`backend answered ${response.status}`);
      throw new BackendUnavailable(`backend answered ${response.status}`, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
    }
    const parsed = CommandResults.safeParse(body);
    if (!parsed.success) throw new BackendUnavailable('backend answered something else than its contract says', { cause: parsed.error });
    return parsed.data.results;
  },
});
