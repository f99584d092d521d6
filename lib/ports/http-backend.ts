import { createSecret, type Secret, SecretUnavailable } from '../secret.ts';
import { type Backend, type BackendCall, BackendRefusal, BackendUnavailable } from './backend.ts';
import { readJson, toOutcomes, toPage, toVersions, WrongAnswer } from './backend-answers.ts';

/** The contract's statuses for a request that will never be accepted. All others may pass by themselves, or an operator has to act. */
const refusals = new Set([400, 413]);

/** Seconds or a date, as RFC 9110 section 10.2.3 has it. */
const parseRetryAfter = (header: string | null): number | undefined => {
  if (header === null) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined;
};

export interface HttpBackendOptions {
  /** May have a path; the contract's paths are below it. */
  url: string;
  /** The bearer token or, in a cloud, the ARN of the secret that holds it (lib/secret.ts). */
  token: string;
}

/** Checked here because `fetch` would quote the whole token in its error about, say, a line break at the end. */
const visible = (token: string): string => {
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error('The token for the backend has a character that a header cannot carry');
  return token;
};

interface Request<Answer> {
  method: 'GET' | 'POST';
  /** With its query. */
  path: string;
  body?: unknown;
  call: Partial<BackendCall> & Omit<BackendCall, 'idempotencyKey'>;
  /** Reads the JSON of an answer when all is well. */
  read: (answer: unknown) => Answer;
}

interface Connection {
  url: string;
  token: Secret;
}

const ask = (
  { url }: Connection,
  { method, path, body, call: { idempotencyKey, requestId } }: Request<unknown>,
  { bearer, signal }: { bearer: string; signal: AbortSignal },
): Promise<Response> =>
  fetch(new URL(`.${path}`, url.endsWith('/') ? url : `${url}/`), {
    method,
    headers: {
      authorization: `Bearer ${visible(bearer)}`,
      'x-request-id': requestId,
      ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal,
    // The token must not be sent to another address.
    redirect: 'manual',
  });

/** If the backend refuses the token, it may have been rotated: asks once more with the new one. The refused request has done nothing. */
const askWithToken = async (connection: Connection, request: Request<unknown>, signal: AbortSignal): Promise<Response> => {
  const { token } = connection;
  const bearer = await token.read();
  const response = await ask(connection, request, { bearer, signal });
  if (response.status !== 401) return response;
  const renewed = await token.refresh();
  if (renewed === bearer) return response;
  await response.body?.cancel();
  return ask(connection, request, { bearer: renewed, signal });
};

const whatHappened = (error: unknown): string => {
  if (error instanceof WrongAnswer) return `backend answered something else than its contract says: ${error.message}`;
  if (error instanceof SecretUnavailable) return 'the token for the backend cannot be read';
  if (error instanceof Error && error.name === 'TimeoutError') return 'backend did not answer in time';
  return 'backend cannot be reached';
};

const request = async <Answer>(connection: Connection, options: Request<Answer>): Promise<Answer> => {
  let response: Response;
  try {
    response = await askWithToken(connection, options, AbortSignal.timeout(options.call.timeoutMilliseconds));
    if (response.ok) return options.read(await readJson(response));
    await response.body?.cancel();
  } catch (error) {
    throw new BackendUnavailable(whatHappened(error), { cause: error });
  }
  const { status, headers } = response;
  if (refusals.has(status)) throw new BackendRefusal(`backend answered ${status}`);
  if (status === 401) throw new BackendUnavailable('backend answered 401: it refuses the token, which was read again just now');
  const retryAfterSeconds = parseRetryAfter(headers.get('retry-after'));
  throw new BackendUnavailable(`backend answered ${status}`, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
};

/** scooters-backend over HTTP, as scooters-backend.openapi.yaml describes it. */
export const createHttpBackend = ({ url, token }: HttpBackendOptions): Backend => {
  const connection = { url, token: createSecret(token, { field: 'token' }) };
  return {
    async sendCommands(commands, call) {
      return request(connection, { method: 'POST', path: '/v1/firmware-commands', body: { commands }, call, read: toOutcomes });
    },

    async findVersions(kind, external_ids, call) {
      return request(connection, { method: 'POST', path: '/v1/firmware-versions', body: { kind, external_ids }, call, read: toVersions });
    },

    async listDevices({ cursor, limit }, call) {
      const query = new URLSearchParams({ limit: String(limit), ...(cursor !== null && { cursor }) });
      return request(connection, { method: 'GET', path: `/v1/devices?${query}`, call, read: toPage });
    },
  };
};
