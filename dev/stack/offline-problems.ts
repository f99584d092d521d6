// Loaded into `serverless offline` by --import. It turns the answers that serverless-offline gives without a function into problem documents,
// as API Gateway's own answers are in the cloud (resources/gateway-responses.yml), and passes bodies on as they were sent.
import { randomUUID } from 'node:crypto';
import { DomainError } from '../../lib/errors.ts';
import { type Answer, toProblemAnswer } from '../../lib/http/problem.ts';

/** The used part of serverless-offline's server, which is Hapi. */
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

/** serverless-offline's route for all requests that have no other route. */
const noRoute = '/{p*}';
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

const problemOf = (server: Server, { path, route, response }: Request): Answer | undefined => {
  const requestId = randomUUID();
  // An address that cannot be decoded ends here, too, because Hapi finds no route for it.
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

/** serverless-offline parses bodies of these types, and passes on the text inside a JSON text, or nothing for `null`, instead of the body. */
const parsedTypes = ['application/json', 'application/vnd.api+json'];

/** Wraps every body that is no object and no list in a JSON text, which serverless-offline then unwraps. */
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
