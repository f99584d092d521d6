import middy from '@middy/core';
import jsonBodyParser from '@middy/http-json-body-parser';
import type { APIGatewayProxyEvent, APIGatewayProxyResult, Context } from 'aws-lambda';
import { en } from 'zod/locales';
import * as z from 'zod/mini';
import { toDomainError } from '../db/database-error.ts';
import { DomainError, type FieldError } from '../errors.ts';
import { type Log, logWith } from '../log.ts';
import { count, type Metrics, milliseconds } from '../metrics.ts';
import type { Authenticate, Authenticated, Caller } from './authenticate.ts';
import { type Answer, statusOfError, toProblemAnswer } from './problem.ts';
import { defaultMaximumBodyBytes, type Route, type RouteRequest } from './route.ts';

// Of zod's messages, the small build has none of its own.
z.config(en());

export interface HttpDeps<C extends Authenticated = Caller> {
  authenticate: Authenticate<C>;
  log: Log;
  /** Without it nothing is measured. */
  metrics?: Metrics;
  /** How long a caller is told to wait after a 503 that does not say so itself; where it is missing, all are told the same. */
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

/** For bodies that lie elsewhere. */
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
  // Before the body is looked at: what a stranger sends is not worth parsing.
  const { scope } = route;
  if (scope !== null) {
    handle.before(async ({ event }) => {
      callers.set(event, await authorize(deps.authenticate, event, scope));
    });
  }
  if (route.body) handle.before(refuseLargeBody(route)).use(parseBody(route.body));
  return {
    route,
    handle: handle.handler(async (event, context) => {
      const request = parseRequest(route, event);
      return work(request as RouteRequest<R>, callers.get(event) as never, context);
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

/** The first middleware in, and so the last to see an error: logs and measures every request once, turns errors into problem documents. */
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

/** middy's parser names the reason of its own refusals in the message; they are told in this API's words (design.md section 4). */
const toAnswerable = (error: unknown): DomainError => {
  const known = toDomainError(error);
  if (known instanceof DomainError) return known;
  const { statusCode, cause } = (error ?? {}) as { statusCode?: number; cause?: { package?: string } };
  const refusal = cause?.package === '@middy/http-json-body-parser' ? statusCode : undefined;
  if (refusal === 415) return new DomainError('request.unsupported_media_type', 'The body has to be application/json');
  if (refusal === 422) return new DomainError('request.malformed', 'The body is not well-formed JSON');
  return new DomainError('internal', 'Something went wrong here; the request id leads to the reason', { cause: error });
};

const refuseLargeBody =
  ({ maximumBodyBytes = defaultMaximumBodyBytes }: Route): middy.MiddlewareFn<APIGatewayProxyEvent, APIGatewayProxyResult> =>
  ({ event }) => {
    if (event.body && Buffer.byteLength(event.body, event.isBase64Encoded ? 'base64' : 'utf8') > maximumBodyBytes) {
      throw new DomainError('request.too_large', `The body may have ${maximumBodyBytes} bytes`);
    }
  };

/** Where the body may be left out, as by `curl -X POST`, it needs no content type either. */
const parseBody = (schema: z.ZodMiniType): middy.MiddlewareObj<APIGatewayProxyEvent, APIGatewayProxyResult> => {
  const parser = jsonBodyParser();
  const isOptional = schema.safeParse(undefined).success;
  return {
    before: (request) => {
      if (isOptional && !request.event.body) request.event.body = null;
      else return parser.before?.(request as never);
    },
  };
};

const authorize = async <C extends Authenticated>(
  authenticate: Authenticate<C>,
  event: APIGatewayProxyEvent,
  scope: string,
): Promise<C> => {
  const caller = await authenticate(event.headers['authorization'], decodeValues(event.pathParameters ?? {}));
  if (!caller.scopes.has(scope)) throw new DomainError('auth.insufficient_scope', `The token lacks the scope ${scope}`);
  return caller;
};

/** Checks every part and reports every wrong field of all of them at once. */
const parseRequest = (route: Route, event: APIGatewayProxyEvent) => {
  const errors: FieldError[] = [];
  const parse = (part: FieldError['in'], schema: z.ZodMiniType | undefined, value: unknown): unknown => {
    if (!schema) return undefined;
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    errors.push(...result.error.issues.flatMap((issue) => toFieldErrors(part, issue)));
    return undefined;
  };
  const request = {
    path: parse('path', route.pathParameters, decodeValues(event.pathParameters ?? {})),
    query: parse('query', route.query, event.queryStringParameters ?? {}),
    headers: parse('header', route.headers, event.headers),
    body: parse('body', route.body, event.body ?? undefined),
    requestId: requestIdOf(event),
    apiUrl: apiUrlOf(event),
  };
  if (errors.length > 0) throw new DomainError('request.invalid', summarize(errors), { errors });
  return request;
};

const toFieldErrors = (part: FieldError['in'], issue: z.core.$ZodIssue): FieldError[] => {
  const at = (path: PropertyKey[], message: string): FieldError => ({ in: part, path: path.map(String).join('.'), message });
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => at([...issue.path, key], 'is not a known field'));
  return [at(issue.path, issue.message)];
};

const summarize = (errors: readonly FieldError[]): string =>
  `Wrong: ${errors
    .slice(0, 5)
    .map(({ in: part, path, message }) => `${part}${path && ` ${path}`} (${message})`)
    .join(', ')}${errors.length > 5 ? ` and ${errors.length - 5} more` : ''}`;

const lowerCaseKeys = (headers: Record<string, string | undefined> | null): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));

const decodeValues = (values: Record<string, string | undefined>): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value && decode(value)]));

/** API Gateway hands path parameters on as they were in the address. */
const decode = (value: string): string => {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
};

/** As the caller wrote it. In front of the route's own path there is a stage on API Gateway's domain, or the base path of another one. */
const apiUrlOf = ({ headers, path, resource, requestContext }: APIGatewayProxyEvent): string => {
  const segments = (requestContext?.path ?? path).split('/');
  const prefix = segments.slice(0, Math.max(1, segments.length - resource.split('/').length + 1)).join('/');
  return `${headers['x-forwarded-proto'] ?? 'http'}://${headers['host'] ?? 'localhost'}${prefix}`;
};

/** The caller's own id where it is harmless to log, else API Gateway's. */
const requestIdOf = (event: APIGatewayProxyEvent): string => {
  const given = lowerCaseKeys(event.headers)['x-request-id'];
  return given && /^[\w-]{8,64}$/.test(given) ? given : (event.requestContext?.requestId ?? 'unknown');
};
