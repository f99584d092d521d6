import * as z from 'zod/mini';
import { createSecret, type Secret } from '../secret.ts';
import { type Backend, type BackendCall, BackendRefusal, BackendUnavailable } from './backend.ts';

/** The backend's words, without what PostgreSQL cannot store: one reason must not keep a whole chunk from being recorded. */
const Reason = z.pipe(
  z.string(),
  z.transform((text) => text.replaceAll('\u0000', '')),
);

const CommandResults = z.object({
  results: z.array(
    z.discriminatedUnion('outcome', [
      z.object({ execution_id: z.int(), outcome: z.literal('accepted') }),
      z.object({
        execution_id: z.int(),
        outcome: z.literal('deferred'),
        reason: Reason,
        retry_after_seconds: z.number().check(z.minimum(0), z.maximum(604_800)),
      }),
      z.object({ execution_id: z.int(), outcome: z.literal('rejected'), reason: Reason }),
    ]),
  ),
});

const FirmwareVersions = z.object({
  devices: z.array(
    z.object({
      external_id: z.string(),
      version: z.nullable(z.int()),
      firmwares: z.array(z.object({ hardware_type: z.string(), version: z.string(), since_dt: z.string(), observed_dt: z.string() })),
    }),
  ),
});

const Devices = z.object({
  items: z.array(z.object({ kind: z.string(), external_id: z.string(), version: z.nullable(z.int()) })),
  next_cursor: z.nullable(z.string()),
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
  /** May have a path, under which the contract's own paths are. */
  url: string;
  /** The bearer token or, in a cloud, the ARN of the secret that holds it (lib/secret.ts). */
  token: string;
}

interface Request<S extends z.ZodMiniType> {
  method: 'GET' | 'POST';
  /** With its query. */
  path: string;
  body?: unknown;
  call: Partial<BackendCall> & Omit<BackendCall, 'idempotencyKey'>;
  /** What is answered when all is well. */
  answer: S;
}

const request = async <S extends z.ZodMiniType>(
  { url, token }: { url: string; token: Secret },
  { method, path, body, call: { idempotencyKey, requestId, timeoutMilliseconds }, answer }: Request<S>,
): Promise<z.output<S>> => {
  let response: Response;
  let answered: unknown;
  const ask = async (bearer: string, signal: AbortSignal) =>
    fetch(new URL(`.${path}`, url.endsWith('/') ? url : `${url}/`), {
      method,
      headers: {
        authorization: `Bearer ${bearer}`,
        'x-request-id': requestId,
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal,
      redirect: 'error',
    });
  try {
    const signal = AbortSignal.timeout(timeoutMilliseconds);
    const bearer = await token.read();
    response = await ask(bearer, signal);
    if (response.status === 401) {
      // It did nothing yet. A token that was rotated meanwhile is another one now.
      const renewed = await token.refresh();
      if (renewed !== bearer) {
        await response.body?.cancel();
        response = await ask(renewed, signal);
      }
    }
    answered = response.ok ? await response.json() : await response.body?.cancel();
  } catch (error) {
    const isLate = error instanceof Error && error.name === 'TimeoutError';
    throw new BackendUnavailable(isLate ? 'backend did not answer in time' : 'backend cannot be reached', { cause: error });
  }
  if (!response.ok) {
    const retryAfterSeconds = parseRetryAfter(response.headers.get('retry-after'));
    if (response.status < 500 && !passingRefusals.has(response.status)) throw new BackendRefusal(`backend answered ${response.status}`);
    throw new BackendUnavailable(`backend answered ${response.status}`, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
  }
  const parsed = answer.safeParse(answered);
  if (!parsed.success) throw new BackendUnavailable('backend answered something else than its contract says', { cause: parsed.error });
  return parsed.data;
};

/** scooters-backend over HTTP, as scooters-backend.openapi.yaml describes it. */
export const createHttpBackend = ({ url, token }: HttpBackendOptions): Backend => {
  const options = { url, token: createSecret(token, { field: 'token' }) };
  return {
    async sendCommands(commands, call) {
      const path = '/v1/firmware-commands';
      const { results } = await request(options, { method: 'POST', path, body: { commands }, call, answer: CommandResults });
      return results;
    },

    async findVersions(kind, external_ids, call) {
      const path = '/v1/firmware-versions';
      const { devices } = await request(options, { method: 'POST', path, body: { kind, external_ids }, call, answer: FirmwareVersions });
      return devices;
    },

    async listDevices({ cursor, limit }, call) {
      const query = new URLSearchParams({ limit: String(limit), ...(cursor !== null && { cursor }) });
      return request(options, { method: 'GET', path: `/v1/devices?${query}`, call, answer: Devices });
    },
  };
};
