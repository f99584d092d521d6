import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject, type ZodOpenApiResponsesObject } from 'zod-openapi';
import { Problem, titleOf } from './problem.ts';
import { deviceScope, type Route } from './route.ts';

const description = `Firmware of scooters and cabinets: versions, what each device runs, updates.

Requests carry a bearer token (a JWT) with the scope named at each route; devices that poll carry a token of their own. Errors are problem documents (RFC 9457) with a stable \`code\`.
Times are UTC, ids are numbers, lists are \`{items, next_cursor}\`; a page ends early where it would become larger than an answer can be. A query parameter that is not named at a route, or comes twice, is refused (400). 503 comes with Retry-After; sending again is safe.`;

/** The OpenAPI 3.1 document of these routes. */
export const createOpenApiDocument = (routes: readonly Route[]) => {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: toOperation(route) };
  }
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'scooters-updater', version: '1', description },
    paths,
    components: {
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

const toOperation = ({
  summary,
  description,
  tag,
  scope,
  pathParameters,
  query,
  headers,
  body,
  ...route
}: Route): ZodOpenApiOperationObject => ({
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
  }),
});

const securityOf = (scope: Route['scope']) => {
  if (scope === null) return [];
  return scope === deviceScope ? [{ deviceToken: [] }] : [{ token: [scope] }];
};

const toResponses = (
  { responses, problems = [] }: Pick<Route, 'responses' | 'problems'>,
  { isOpen, hasBody }: { isOpen: boolean; hasBody: boolean },
): ZodOpenApiResponsesObject => {
  const answers = Object.entries(responses).map(([status, { description, body }]) => [
    status,
    { description, ...(body && { content: { 'application/json': { schema: body } } }) },
  ]);
  const statuses = new Set([...problems, 400, ...(isOpen ? [] : [401, 403]), ...(hasBody ? [413, 415] : []), 500, 503]);
  const errors = [...statuses].map((status) => [
    String(status),
    { description: titleOf[status], content: { 'application/problem+json': { schema: Problem } } },
  ]);
  return Object.fromEntries([...answers, ...errors]);
};
