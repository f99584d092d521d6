import type * as z from 'zod/mini';
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponseObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi';
import { Problem, titleOf } from './problem.ts';
import { deviceScope, type Route } from './route.ts';

const description = `Firmware of scooters and cabinets: versions, what each device runs, updates.

Requests carry a bearer token (a JWT) with the scope named at each route; devices that poll carry a token of their own. Errors are problem documents (RFC 9457) with a stable \`code\`.
Times are UTC, ids are numbers, lists are \`{items, next_cursor}\`; a page ends early where it would become larger than an answer can be. A query parameter that is not named at a route, or comes twice, is refused (400). 503 and 429 come with Retry-After; sending again is safe. A path that there is not is 404. A method that a path does not have is 405 with \`Allow\` (\`MethodNotAllowed\` among the components); API Gateway answers 404 there as well.`;

/** Links between operations: for each operation, the operations that take a value of its answer, and where in the answer that value is. */
export type Links = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>;

/** The OpenAPI 3.1 document of these routes. */
export const createOpenApiDocument = (routes: readonly Route[], links: Links = {}) => {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: toOperation(route, links[route.operationId]) };
  }
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'scooters-updater', version: '1', description },
    paths,
    components: {
      responses: { MethodNotAllowed: toProblemResponse(405) },
      headers: {
        Allow: {
          description: 'The methods that the path has',
          required: true,
          schema: { type: 'string', examples: ['GET, HEAD, POST'] },
        },
        'Request-Id': { description: 'To be named when asking for help', required: true, schema: { type: 'string' } },
        'Retry-After': {
          description: 'Seconds after which to send the request again',
          required: true,
          schema: { type: 'integer', minimum: 0 },
        },
        'WWW-Authenticate': {
          description: 'Which token is wanted, and what is wrong with the one sent',
          required: true,
          schema: { type: 'string' },
        },
      },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        deviceToken: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description: '`TargetToken <token>`: the token of this device; `GatewayToken <token>`: one for all devices, off by default',
        },
      },
    },
  });
};

const toOperation = (
  { summary, description, tag, scope, pathParameters, query, headers, body, ...route }: Route,
  links: Links[string] | undefined,
): ZodOpenApiOperationObject => ({
  operationId: route.operationId,
  summary,
  ...(description && { description }),
  tags: [tag],
  security: securityOf(scope),
  requestParams: { ...(pathParameters && { path: pathParameters }), ...(query && { query }), ...(headers && { header: headers }) },
  ...(body && { requestBody: { required: !body.safeParse(undefined).success, content: { 'application/json': { schema: body } } } }),
  responses: toResponses(route, {
    isOpen: scope === null,
    hasBody: Boolean(body),
    links,
  }),
});

const header = (name: 'Allow' | 'Request-Id' | 'Retry-After' | 'WWW-Authenticate') => ({ $ref: `#/components/headers/${name}` as const });
const contentOf = (types: readonly string[], body: z.ZodMiniType | null) => {
  if (body) return { content: { 'application/json': { schema: body } } };
  return types.length > 0 ? { content: Object.fromEntries(types.map((type) => [type, { schema: { type: 'string' as const } }])) } : {};
};

const securityOf = (scope: Route['scope']) => {
  if (scope === null) return [];
  return scope === deviceScope ? [{ deviceToken: [] }] : [{ token: [scope] }];
};

const toResponses = (
  { responses, problems = [] }: Pick<Route, 'responses' | 'problems'>,
  { isOpen, hasBody, links }: { isOpen: boolean; hasBody: boolean; links: Links[string] | undefined },
): ZodOpenApiResponsesObject => {
  // If an operation creates something, only the answer with a Location has values for further operations.
  const isAccepting = Object.values(responses).some(({ location }) => location !== undefined);
  const answers = Object.entries(responses).map(([status, { description, body, contentTypes = [], location }]) => [
    status,
    {
      description,
      headers: {
        'x-request-id': header('Request-Id'),
        ...(location && { location: { description: location, required: true, schema: { type: 'string', format: 'uri-reference' } } }),
      },
      ...contentOf(contentTypes, body),
      ...(links && (location || !isAccepting) && { links: toLinks(links) }),
    },
  ]);
  const statuses = new Set([...problems, 400, ...(isOpen ? [] : [401, 403]), ...(hasBody ? [413, 415] : []), 429, 500, 503]);
  const errors = [...statuses].map((status) => [String(status), toProblemResponse(status)]);
  return Object.fromEntries([...answers, ...errors]);
};

const toProblemResponse = (status: number): ZodOpenApiResponseObject => ({
  description: titleOf[status] ?? String(status),
  headers: {
    'x-request-id': header('Request-Id'),
    ...(status === 401 || status === 403 ? { 'www-authenticate': header('WWW-Authenticate') } : {}),
    ...(status === 405 ? { allow: header('Allow') } : {}),
    ...(status === 429 || status === 503 ? { 'retry-after': header('Retry-After') } : {}),
  },
  content: { 'application/problem+json': { schema: Problem } },
});

const toLinks = (links: Links[string]) =>
  Object.fromEntries(Object.entries(links).map(([operationId, parameters]) => [operationId, { operationId, parameters }]));
