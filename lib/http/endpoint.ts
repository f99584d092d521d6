import middy from '@middy/core';
import type { APIGatewayProxyEvent, APIGatewayProxyResult, Context } from 'aws-lambda';
import { en } from 'zod/locales';
import * as z from 'zod/mini';
import { toDomainError } from '../db/database-error.ts';
import { DomainError } from '../errors.ts';
import { type Log, logWith } from '../log.ts';
import { count, type Metrics, milliseconds } from '../metrics.ts';
import type { Authenticate, Authenticated, Caller } from './authenticate.ts';
import { readJsonBody } from './json-body.ts';
import { parseRequest, pathParametersOf } from './parse-request.ts';
import { type Answer, statusOfError, toProblemAnswer } from './problem.ts';
import type { Route, RouteRequest } from './route.ts';

// zod's small build has no messages of its own; this adds the English ones.
z.config(en());

export interface HttpDeps<C extends Authenticated = Caller> {
  authenticate: Authenticate<C>;
  log: Log;
  /** Without it nothing is measured. */
  metrics?: Metrics;
  /** Retry-After of a 503 whose error does not name one. Missing: the same for all callers. */
  retryAfterSeconds?: () => number;
}

export type HttpHandler = (event: APIGatewayProxyEvent, context: Context) => Promise<APIGatewayProxyResult>;

export interface Operation {
  route: Route;
  handle: middy.MiddyfiedHandler<APIGatewayProxyEvent, APIGatewayProxyResult>;
}

export const json = (statusCode: number, body: unknown, headers: Record<string, string> = {}): Answer => ({
  statusCode,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
  body: JSON.stringify(body),
});

/** An answer without a body. */
export const noContent = (): Answer => ({ statusCode: 204, headers: { 'cache-control': 'no-store' }, body: '' });

/** An answer whose body is at another address. */
export const redirect = (location: string): Answer => ({ statusCode: 302, headers: { location, 'cache-control': 'no-store' }, body: '' });

/** What a function does for one route: validated request and caller in, answer out. A route without a scope has no caller. */
export const operation = <R extends Route, C extends Authenticated = Caller>(
  deps: HttpDeps<C>,
  route: R,
  work: (request: RouteRequest<R>, caller: R['scope'] extends null ? undefined : C, context: Context) => Promise<Answer>,
): Operation => {
  const callers = new WeakMap<object, C>();
  const handle = middy<APIGatewayProxyEvent, APIGatewayProxyResult>().use(answerErrors(deps, route));
  handle.before(({ event }) => {
    event.headers = lowerCaseKeys(event.headers);
  });
  // The caller is authenticated before the body is parsed: bodies of strangers should cost nothing.
  const { scope } = route;
  if (scope !== null) {
    handle.before(async ({ event }) => {
      callers.set(event, await authorize(deps.authenticate, event, scope));
    });
  }
  const { maximumBodyBytes, body: schema } = route;
  const isOptional = schema?.safeParse(undefined).success ?? true;
  return {
    route,
    handle: handle.handler(async (event, context) => {
      const body = schema && readJsonBody(event, { maximumBodyBytes, isOptional });
      const request = { ...parseRequest(route, event, body), requestId: requestIdOf(event), apiUrl: apiUrlOf(event) };
      return refuseLargeAnswer(await work(request as RouteRequest<R>, callers.get(event) as never, context));
    }),
  };
};

/** A function's handler: the operation whose method and path API Gateway matched. */
export const endpoint = (...operations: Operation[]): HttpHandler => {
  const byRoute = new Map(operations.map(({ route, handle }) => [`${route.method} ${route.path}`, handle]));
  return async (event, context) => {
    const handle = byRoute.get(`${event.httpMethod} ${event.resource}`);
    if (!handle) return toProblemAnswer(new DomainError('route.not_found', 'There is no such route'), requestIdOf(event));
    return logWith({ request_id: requestIdOf(event) }, () => handle(event, context));
  };
};

/** Lambda passes on up to 6 MB and fails with more. The rest is for headers, and for characters that are escaped once more on the way. */
const maximumAnswerBytes = 5_000_000;

/** Lists end a page before this limit. A caller who asks for a thousand devices with very many firmwares each has to ask for fewer. */
const refuseLargeAnswer = (answer: Answer): Answer => {
  if (Buffer.byteLength(answer.body) <= maximumAnswerBytes) return answer;
  throw new DomainError('answer.too_large', `The answer would have more than ${maximumAnswerBytes} bytes: ask for less at once`);
};

/** The first middleware, so that it sees errors of all others: logs and measures every request once, and turns errors into problem documents. */
const answerErrors = (
  { log, metrics, retryAfterSeconds }: Pick<HttpDeps, 'log' | 'metrics' | 'retryAfterSeconds'>,
  route: Route,
): middy.MiddlewareObj<APIGatewayProxyEvent, APIGatewayProxyResult> => {
  const started = new WeakMap<object, number>();
  const finish = (event: APIGatewayProxyEvent, { functionName }: Context, response: APIGatewayProxyResult) => {
    const requestId = requestIdOf(event);
    response.headers = { ...response.headers, 'x-request-id': requestId };
    const duration = performance.now() - (started.get(event) ?? performance.now());
    const name = `${route.method} ${route.path}`;
    log.info('request', { request_id: requestId, route: name, status: response.statusCode, duration_ms: Math.round(duration) });
    metrics?.publish(
      { requests: count(1), server_errors: count(response.statusCode >= 500 ? 1 : 0), response_time: milliseconds(duration) },
      { function: functionName },
      { function: functionName, route: name },
    );
  };
  return {
    before: ({ event }) => {
      started.set(event, performance.now());
    },
    after: ({ event, context, response }) => {
      if (response) finish(event, context, response);
    },
    onError: (request) => {
      const error = toAnswerable(request.error);
      if (statusOfError(error) >= 500) {
        log.error('request failed', { request_id: requestIdOf(request.event), code: error.code, error: asError(error.cause ?? error) });
      }
      request.response = toProblemAnswer(error, requestIdOf(request.event), retryAfterSeconds?.());
      finish(request.event, request.context, request.response);
    },
  };
};

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

const toAnswerable = (error: unknown): DomainError => {
  const known = toDomainError(error);
  if (known instanceof DomainError) return known;
  return new DomainError('internal', 'Something went wrong here; the request id leads to the reason', { cause: error });
};

const authorize = async <C extends Authenticated>(
  authenticate: Authenticate<C>,
  event: APIGatewayProxyEvent,
  scope: string,
): Promise<C> => {
  const caller = await authenticate(event.headers['authorization'], pathParametersOf(event));
  requireScope(caller, scope);
  return caller;
};

/**
 * For a part of a request that needs another scope than its route.
 *
 * @throws `auth.insufficient_scope`
 */
export const requireScope = ({ scopes }: Authenticated, scope: string): void => {
  if (!scopes.has(scope)) throw new DomainError('auth.insufficient_scope', `The token lacks the scope ${scope}`);
};

const lowerCaseKeys = (headers: Record<string, string | undefined> | null): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));

/** The API's address as the caller used it. On API Gateway's own domain a stage comes before the route's path, on another domain a base path. */
const apiUrlOf = ({ headers, path, resource, requestContext }: APIGatewayProxyEvent): string => {
  const segments = (requestContext?.path ?? path).split('/');
  const prefix = segments.slice(0, Math.max(1, segments.length - resource.split('/').length + 1)).join('/');
  return `${headers['x-forwarded-proto'] ?? 'http'}://${headers['host'] ?? 'localhost'}${prefix}`;
};

/** The caller's own request id if it is safe to log, otherwise API Gateway's. */
const requestIdOf = (event: APIGatewayProxyEvent): string => {
  const given = lowerCaseKeys(event.headers)['x-request-id'];
  return given && /^[\w-]{8,64}$/.test(given) ? given : (event.requestContext?.requestId ?? 'unknown');
};
