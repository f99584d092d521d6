import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import type { APIGatewayProxyEvent, Context } from 'aws-lambda';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterAll, expect } from 'vitest';
import * as z from 'zod';
import { routes } from '../../functions/routes.ts';
import { type Authenticate, createAuthenticate, scopes as everyScope, type Scope } from '../../lib/http/authenticate.ts';
import type { HttpHandler } from '../../lib/http/endpoint.ts';
import { createOpenApiDocument } from '../../lib/http/openapi.ts';
import type { Log } from '../../lib/log.ts';

export interface TokenOptions {
  /** Every scope unless told. */
  scopes?: readonly Scope[];
  subject?: string;
  issuer?: string;
  audience?: string;
  /** Of this moment; negative for the past. */
  expiresInSeconds?: number;
  /** Of this moment. */
  validInSeconds?: number;
}

export interface SigningKey {
  kid: string;
  privateKey: CryptoKey;
  publicJwk: JWK;
}

export interface Identity {
  issuer: string;
  audience: string;
  jwksUrl: string;
  /** The real one, against the key set below. */
  authenticate: Authenticate;
  /** The key that `token` signs with. */
  key: SigningKey;
  /** What the key set's address answers. */
  jwks: { status: number; body: string; requests: number };
  token(options?: TokenOptions): Promise<string>;
  /** From now on tokens are signed by another key, and only that one is in the key set. */
  changeKey(): Promise<void>;
  close(): Promise<void>;
}

export const createSigningKey = async (kid: string = randomUUID()): Promise<SigningKey> => {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  return { kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } };
};

const keySetOf = (...keys: SigningKey[]): string => JSON.stringify({ keys: keys.map(({ publicJwk }) => publicJwk) });

/** An identity provider: a key, its key set on loopback, tokens. Made at the top of a test file, closed when the file has ended. */
export const createIdentity = async (): Promise<Identity> => {
  const key = await createSigningKey();
  const jwks = { status: 200, body: keySetOf(key), requests: 0 };
  const server = createServer((_, response) => {
    jwks.requests += 1;
    response.writeHead(jwks.status, { 'content-type': 'application/json' }).end(jwks.body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = 'https://identity.test';
  const audience = 'scooters-updater-test';
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;

  const identity: Identity = {
    issuer,
    audience,
    jwksUrl,
    authenticate: createAuthenticate({ issuer, audience, jwksUrl }),
    key,
    jwks,
    token(options = {}) {
      const now = Math.floor(Date.now() / 1000);
      const token = new SignJWT({ scope: (options.scopes ?? everyScope).join(' ') })
        .setProtectedHeader({ alg: 'ES256', kid: identity.key.kid })
        .setIssuer(options.issuer ?? issuer)
        .setAudience(options.audience ?? audience)
        .setSubject(options.subject ?? 'tester')
        .setIssuedAt()
        .setExpirationTime(now + (options.expiresInSeconds ?? 300));
      if (options.validInSeconds !== undefined) token.setNotBefore(now + options.validInSeconds);
      return token.sign(identity.key.privateKey);
    },
    async changeKey() {
      identity.key = await createSigningKey();
      jwks.body = keySetOf(identity.key);
    },
    async close() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  afterAll(identity.close);
  return identity;
};

/** A log that keeps its lines, each with everything that an error in it carries. */
export const createRecordingLog = (): Log & { lines: string[] } => {
  const lines: string[] = [];
  const keep = (level: string) => (message: string, fields?: object) => {
    lines.push(inspect({ level, message, ...fields }, { depth: 20, breakLength: Number.POSITIVE_INFINITY, maxStringLength: null }));
  };
  return { lines, info: keep('info'), warn: keep('warn'), error: keep('error') };
};

export interface Call {
  method: string;
  /** As in serverless.yml, for example `/v1/firmwares/{id}`. */
  path: string;
  /** Still encoded as in the address, as API Gateway hands them on. */
  pathParameters?: Record<string, string>;
  /** What the function sees of them instead, from gateways that decode: some of the parameters, and the path. */
  seenParameters?: Record<string, string>;
  seenPath?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  /** Text is sent as it is, anything else as JSON. */
  body?: unknown;
  isBase64Encoded?: boolean;
  token?: string;
}

export interface CallAnswer<Body> {
  statusCode: number;
  headers: Record<string, string>;
  body: Body;
}

export const createContext = ({ remainingMilliseconds = 29_000 } = {}): Context =>
  ({ awsRequestId: randomUUID(), functionName: 'test', getRemainingTimeInMillis: () => remainingMilliseconds }) as Context;

/** What API Gateway (REST, proxy integration) hands to a function. */
export const createEvent = (request: Call): APIGatewayProxyEvent => {
  const { method, path, pathParameters, seenParameters, seenPath, query, headers, body, isBase64Encoded, token } = request;
  const allHeaders: Record<string, string> = {
    ...(body !== undefined && { 'Content-Type': 'application/json' }),
    ...(token !== undefined && { Authorization: `Bearer ${token}` }),
  };
  for (const [name, value] of Object.entries(headers ?? {})) {
    for (const known of Object.keys(allHeaders)) if (known.toLowerCase() === name.toLowerCase()) delete allHeaders[known];
    allHeaders[name] = value;
  }
  const event = {
    httpMethod: method,
    resource: path,
    path: seenPath ?? path.replaceAll(/\{(\w+)\+?\}/g, (_, name: string) => pathParameters?.[name] ?? ''),
    // API Gateway says null where there is nothing.
    pathParameters: pathParameters ? { ...pathParameters, ...seenParameters } : null,
    queryStringParameters: query ?? null,
    headers: Object.keys(allHeaders).length > 0 ? allHeaders : null,
    body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    isBase64Encoded: isBase64Encoded ?? false,
    requestContext: { requestId: randomUUID(), httpMethod: method, resourcePath: path },
  };
  return event as unknown as APIGatewayProxyEvent;
};

/** Calls a function as API Gateway does. */
export const invoke = async <Body = Record<string, unknown>>(handler: HttpHandler, request: Call): Promise<CallAnswer<Body>> => {
  const { statusCode, headers, body } = await handler(createEvent(request), createContext());
  return { statusCode, headers: lowerCase(headers), body: parseBody(body, lowerCase(headers)['content-type']) as Body };
};

/**
 * Calls a function as API Gateway does, and checks that the answer is what the OpenAPI document says of this route and status, to the
 * last field: the document cannot lie.
 */
export const call = async <Body = Record<string, unknown>>(handler: HttpHandler, request: Call): Promise<CallAnswer<Body>> => {
  const answer = await invoke<Body>(handler, request);
  expectDocumented(request, answer);
  return answer;
};

const lowerCase = (headers: Record<string, unknown> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));

const parseBody = (body: string, contentType = ''): unknown => (/[/+]json\b/.test(contentType) ? JSON.parse(body) : body);

interface DocumentedResponse {
  content?: Record<string, { schema: object }>;
  headers: Record<string, object>;
}
type Operations = Record<string, { responses: Record<string, DocumentedResponse> }>;

// JSON Schema knows its definitions under another name than OpenAPI.
const { paths, components } = JSON.parse(
  JSON.stringify(createOpenApiDocument(routes)).replaceAll('"#/components/schemas/', '"#/$defs/'),
) as { paths: Record<string, Operations>; components: { schemas: Record<string, object> } };
const checks = new Map<object, z.ZodType>();
/** Headers that say something to the caller, and so belong into the document. */
const toldHeaders = ['location', 'retry-after', 'www-authenticate', 'allow', 'x-request-id'];

const checkOf = (schema: object): z.ZodType => {
  const check = checks.get(schema) ?? z.fromJSONSchema({ ...schema, $defs: components.schemas } as Parameters<typeof z.fromJSONSchema>[0]);
  checks.set(schema, check);
  return check;
};

const expectDocumented = ({ method, path }: Call, { statusCode, headers, body }: CallAnswer<unknown>): void => {
  const where = `${method} ${path} ${statusCode}`;
  const operation = paths[path]?.[method.toLowerCase()];
  if (!operation) {
    expect(statusCode, `${where}: not in the document`).toBe(404);
    return;
  }
  const response = operation.responses[statusCode];
  if (!response) throw new Error(`${where}: this status is not in the document; answered was ${inspect(body)}`);
  const documented = Object.keys(response.headers);
  expect(Object.keys(headers), `${where}: headers that the document promises`).toEqual(expect.arrayContaining(documented));
  const told = toldHeaders.filter((name) => name in headers);
  expect(documented, `${where}: headers that are answered`).toEqual(expect.arrayContaining(told));
  if (!response.content) return;
  const [contentType = ''] = (headers['content-type'] ?? '').split(';');
  const media = response.content[contentType];
  if (!media) throw new Error(`${where}: the content type ${contentType} is not in the document`);
  const result = checkOf(media.schema).safeParse(body);
  if (!result.success) throw new Error(`${where}: the answer is not as in the document: ${z.prettifyError(result.error)}`);
};
