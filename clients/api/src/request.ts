import type { Problem } from './generated.ts';
import { send } from './platform-node.ts';
import { ApiProblem, ApiUnreachable } from './problem.ts';

export interface Connection {
  /** Where the API is, without a slash at the end: `https://updates.example.com/prod`. */
  url: string;
  /** A bearer token, or what gives one; asked before every request, so that it can be renewed. Without it only open routes answer. */
  token?: string | (() => string | Promise<string>) | undefined;
  /** Ends every request. */
  signal?: AbortSignal | undefined;
  /** How often a request is made at most that may be repeated safely. Default 4. */
  attempts?: number | undefined;
  /** The longest wait before a repetition, in seconds, whatever Retry-After says. Default 30. */
  maximumWaitSeconds?: number | undefined;
  /** Until an answer must have come, in seconds. Default 40: the service ends a request itself after 29. */
  timeoutSeconds?: number | undefined;
  /** Told before the wait for each repetition. */
  onRetry?: ((retry: { attempt: number; seconds: number; error: Error }) => void) | undefined;
}

export interface RequestOptions extends Omit<RequestInit, 'body'> {
  body?: string;
  connection?: Connection;
}

/** How an answer is asked for: by `fetch` in browsers; by Node's own client, which starts quicker. Fails when there is none. */
export type Send = (
  url: string,
  request: { method: string; headers: Record<string, string>; body: string | undefined; signal: AbortSignal },
) => Promise<{ status: number; text: string; headerOf: (name: string) => string | null }>;

/**
 * One request of the API: what every generated operation calls.
 *
 * Repeated after 503 (after as long as Retry-After says), 429 and lost connections, where a repetition cannot do anything twice: GET, HEAD,
 * PUT and DELETE always, POST only with an Idempotency-Key.
 *
 * @throws ApiProblem, ApiUnreachable; the signal's reason when it is aborted.
 */
export const request = async <Answer>(path: string, { connection, ...init }: RequestOptions): Promise<Answer> => {
  if (!connection) throw new Error('Operations are called on what createClient answers');
  const { attempts = 4, maximumWaitSeconds = 30 } = connection;
  const most = isRepeatable(init) ? attempts : 1;
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await requestOnce<Answer>(path, connection, init);
    if ('answer' in outcome) return outcome.answer;
    if (attempt >= most || outcome.retryAfterSeconds === null) throw outcome.error;
    const seconds = Math.min(maximumWaitSeconds, outcome.retryAfterSeconds ?? 2 ** (attempt - 1));
    connection.onRetry?.({ attempt, seconds, error: outcome.error });
    await wait(seconds, connection.signal);
  }
};

type Outcome<Answer> =
  | { answer: Answer }
  /** `retryAfterSeconds`: null: another try is in vain; undefined: the service does not say when. */
  | { error: Error; retryAfterSeconds: number | null | undefined };

const requestOnce = async <Answer>(
  path: string,
  connection: Connection,
  init: Omit<RequestOptions, 'connection'>,
): Promise<Outcome<Answer>> => {
  const { url, token, signal, timeoutSeconds = 40 } = connection;
  const { method = 'GET', body: sent } = init;
  const what = `${method} ${path.split('?')[0]}`;
  const headers = recordOf(init.headers);
  const bearer = typeof token === 'function' ? await token() : token;
  if (bearer !== undefined) headers['authorization'] = `Bearer ${bearer}`;
  const timeout = AbortSignal.timeout(timeoutSeconds * 1_000);
  const signals = [timeout, signal, init.signal].filter((each) => each instanceof AbortSignal);
  let response: Awaited<ReturnType<Send>>;
  try {
    response = await send(`${url}${path}`, { method, headers, body: sent, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (init.signal?.aborted) throw init.signal.reason;
    return { error: new ApiUnreachable(what, timeout.aborted ? timeout.reason : error), retryAfterSeconds: undefined };
  }
  const { status, text, headerOf } = response;
  // Without a body there is nothing to parse, whatever the content type: 204, and the refusal of a HEAD.
  const body: unknown = text !== '' && isJson(headerOf('content-type')) ? JSON.parse(text) : text || undefined;
  if (status >= 200 && status < 300) return { answer: body as Answer };
  const problem = typeof body === 'object' ? (body as Partial<Problem>) : { detail: text.slice(0, 200) };
  const error = new ApiProblem(what, status, problem, headerOf('x-request-id'));
  const mayPass = status === 503 || status === 429;
  return { error, retryAfterSeconds: mayPass ? secondsOf(headerOf('retry-after')) : null };
};

const isRepeatable = ({ method = 'GET', headers }: Pick<RequestInit, 'method' | 'headers'>): boolean =>
  (method !== 'POST' && method !== 'PATCH') || 'idempotency-key' in recordOf(headers);

/** By their names in small letters. Without the class `Headers`, with which Node would load all of `fetch`. */
const recordOf = (headers: RequestInit['headers'] = {}): Record<string, string> => {
  const pairs = Symbol.iterator in headers ? [...(headers as Iterable<[string, string]>)] : Object.entries(headers);
  return Object.fromEntries(pairs.flatMap(([name, value]) => (value === undefined ? [] : [[name.toLowerCase(), value]])));
};

const isJson = (type: string | null): boolean => /[/+]json\b/.test(type ?? '');

const secondsOf = (retryAfter: string | null): number | undefined =>
  retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : undefined;

/** Ends early with the signal's reason. */
export const wait = (seconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, seconds * 1_000);
    signal?.addEventListener('abort', stop, { once: true });
  });
