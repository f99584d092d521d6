// Bundles of functions behind a thin HTTP server, in a separate process: in place of API Gateway and Lambda, at hardly any cost. The parent
// process sends what to load, and gets the address.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

export interface FrontRoute {
  method: string;
  /** As in serverless.yml. */
  path: string;
  function: string;
}

export interface FrontOptions {
  /** Path of each function's bundle. */
  bundles: Record<string, string>;
  routes: readonly FrontRoute[];
}

interface Answer {
  statusCode?: number;
  headers?: Record<string, string>;
  body?: string;
  /** Of a function that reads a queue. */
  batchItemFailures?: unknown[];
}
type Handler = (event: unknown, context: object) => Promise<Answer>;

interface Target {
  handler: Handler;
  name: string;
}

/** The path for events of queues: the body is the event, the answer is the function's. */
export const invokePath = '/invoke/';

async function start({ bundles, routes }: FrontOptions): Promise<void> {
  const targets = new Map<string, Target>();
  for (const [name, bundle] of Object.entries(bundles))
    targets.set(name, { name, handler: (await import(pathToFileURL(bundle).href)).handler as Handler });
  const findRoute = createRouter(routes.filter((route) => targets.has(route.function)));
  // Clients keep connections that they do not use for a while; one that is closed meanwhile would lose a request.
  const server = createServer({ keepAliveTimeout: 0 }, async (request, response) => {
    try {
      const body = request.method === 'GET' ? '' : await text(request);
      const { statusCode = 200, headers = {}, body: answer = '' } = await answerTo(request, body, targets, findRoute);
      response.writeHead(statusCode, { ...headers, 'content-length': Buffer.byteLength(answer) }).end(answer);
    } catch (error) {
      const message = String(error);
      response.writeHead(500, { 'content-length': Buffer.byteLength(message) }).end(message);
    }
  });
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
}

async function answerTo(
  request: IncomingMessage,
  body: string,
  targets: ReadonlyMap<string, Target>,
  findRoute: ReturnType<typeof createRouter>,
): Promise<Answer> {
  const { method = '', url = '', headers } = request;
  const call = ({ handler, name }: Target, event: unknown) =>
    handler(event, { awsRequestId: randomUUID(), functionName: name, getRemainingTimeInMillis: () => 29_000 });
  const [path = '', query = ''] = url.split('?', 2);
  if (path.startsWith(invokePath)) {
    const answer = await call(targets.get(path.slice(invokePath.length)) as Target, JSON.parse(body));
    if (answer?.batchItemFailures?.length) throw new Error('A message failed');
    return { body: JSON.stringify(answer ?? null) };
  }
  const found = findRoute(method, path);
  if (!found) return { statusCode: 404 };
  const { route, pathParameters } = found;
  return call(targets.get(route.function) as Target, {
    ...{ httpMethod: method, resource: route.path, path, pathParameters, headers, isBase64Encoded: false },
    queryStringParameters: query === '' ? null : Object.fromEntries(new URLSearchParams(query)),
    body: body === '' ? null : body,
    requestContext: { requestId: randomUUID(), httpMethod: method, resourcePath: route.path },
  });
}

/** The first route with as many segments, each the same text or a parameter. */
function createRouter(routes: readonly FrontRoute[]) {
  const split = routes.map((route) => ({ route, segments: route.path.split('/') }));
  return (method: string, path: string) => {
    const asked = path.split('/');
    for (const { route, segments } of split) {
      if (route.method !== method || segments.length !== asked.length) continue;
      const pathParameters: Record<string, string> = {};
      const fits = segments.every((segment, i) => {
        if (!segment.startsWith('{')) return segment === asked[i];
        pathParameters[segment.slice(1, -1)] = asked[i] ?? '';
        return true;
      });
      if (fits) return { route, pathParameters };
    }
    return undefined;
  };
}

// With the exit that a profile is written at.
process.once('SIGINT', () => process.exit());
if (import.meta.main) process.once('message', (options: FrontOptions) => void start(options));
