// Loaded into `serverless offline` by --import: what it answers by itself, without any function, is a problem document, as what API Gateway
// answers by itself is in the cloud (resources/gateway-responses.yml); and a body comes as it was sent.
import { randomUUID } from 'node:crypto';
import { DomainError } from '../../lib/errors.ts';
import { type Answer, toProblemAnswer } from '../../lib/http/problem.ts';

/** What is used of its server, which is Hapi's. */
interface Server {
  match(method: string, path: string): { path: string } | null;
  ext(event: 'onPreHandler' | 'onPreResponse', method: (request: Request, toolkit: Toolkit) => unknown): void;
}
interface Request {
  method: string;
  path: string;
  mime?: string | null;
  route: { path: string };
  payload?: Buffer | null;
  response: { isBoom?: boolean; output?: { statusCode: number; payload: { error: string; message: string } } };
}
interface Toolkit {
  continue: symbol;
  response(body: string): { code(status: number): { headers: Record<string, string> } };
}

/** The path by which serverless-offline takes whatever has no route. */
const noRoute = '/{p*}';
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

const problemOf = (server: Server, { path, route, response }: Request): Answer | undefined => {
  const requestId = randomUUID();
  // An address that cannot be decoded has come this way as well, and Hapi looks for no route of it.
  const isUnreadable = response.isBoom && response.output?.statusCode === 400;
  if (route.path === noRoute && !isUnreadable) {
    const allowed = methods.filter((method) => ![noRoute, undefined].includes(server.match(method.toLowerCase(), path)?.path));
    if (allowed.length === 0) return toProblemAnswer(new DomainError('route.not_found', 'There is no such route'), requestId);
    const answer = toProblemAnswer(new DomainError('route.method_not_allowed', `This path takes ${allowed.join(', ')}`), requestId);
    return { ...answer, headers: { ...answer.headers, allow: allowed.join(', ') } };
  }
  if (!response.isBoom || !response.output) return undefined;
  const { statusCode, payload } = response.output;
  const code = statusCode >= 500 ? 'gateway.failed' : 'gateway.refused';
  const problem = { title: payload.error, status: statusCode, code, detail: payload.message, request_id: requestId };
  return {
    statusCode,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'x-request-id': requestId },
    body: JSON.stringify({ type: `urn:scooters-updater:problem:${code}`, ...problem }),
  };
};

const answerProblems = (server: Server): void =>
  server.ext('onPreResponse', (request, toolkit) => {
    const answer = problemOf(server, request);
    if (!answer) return toolkit.continue;
    const response = toolkit.response(answer.body).code(answer.statusCode);
    Object.assign(response.headers, answer.headers);
    return response;
  });

/** Of these types serverless-offline parses the body: a text in it, or nothing for `null`, comes in the place of what was sent. */
const parsedTypes = ['application/json', 'application/vnd.api+json'];

/** Whatever is no object and no list is put into a text of JSON, which it takes out again. */
const keepBodies = (server: Server): void =>
  server.ext('onPreHandler', (request, toolkit) => {
    const text = request.payload?.toString();
    const isParsed = parsedTypes.includes(request.mime ?? 'application/json');
    if (text && isParsed && !/^\s*[{[]/.test(text)) request.payload = Buffer.from(JSON.stringify(text));
    return toolkit.continue;
  });

interface Plugin {
  start(): Promise<void>;
  internals(): { getApiGatewayServer(): Server };
}
// The same module that the plugin is loaded from.
const { default: ServerlessOffline } = (await import(import.meta.resolve('serverless-offline'))) as { default: { prototype: Plugin } };
const plugin = ServerlessOffline.prototype;
const { start } = plugin;
plugin.start = async function (this: Plugin) {
  await start.call(this);
  const server = this.internals().getApiGatewayServer();
  keepBodies(server);
  answerProblems(server);
};
