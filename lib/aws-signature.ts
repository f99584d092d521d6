import { createHash, createHmac } from 'node:crypto';

export interface AwsCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
}

/** Lambda gives a function's credentials by these variables, and replaces an environment before they expire. */
export const credentialsOfRole = (): AwsCredentials => {
  const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '', AWS_SESSION_TOKEN } = process.env;
  return { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY, sessionToken: AWS_SESSION_TOKEN };
};

export interface RequestToSign {
  method: string;
  host: string;
  /** As it is sent, percent-encoded. */
  path: string;
  query: Record<string, string>;
  /** Names in lower case, without `host`. */
  headers: Record<string, string>;
  /** SHA-256 of the body in hex, or `UNSIGNED-PAYLOAD`. */
  payloadHash: string;
}

export interface Scope {
  service: string;
  region: string;
}

/**
 * The headers of a request with a signature of version 4. A library for it would be a thirtieth of a bundle
 * (test/lib/aws-signature.rules.test.ts holds this against one).
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export const signRequest = (request: RequestToSign, scope: Scope, credentials: AwsCredentials, now: Date): Record<string, string> => {
  const { accessKeyId, sessionToken } = credentials;
  const headers: Record<string, string> = {
    ...request.headers,
    'x-amz-date': timeOf(now),
    ...(sessionToken && { 'x-amz-security-token': sessionToken }),
  };
  const signedHeaders = namesOf({ ...headers, host: '' });
  const signature = createSignature({ ...request, headers }, scope, credentials, now);
  const credential = `${accessKeyId}/${scopeOf(scope, now)}`;
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${signedHeaders}, Signature=${signature}`,
  };
};

/** The headers of a POST to `/`, as AWS's JSON services take it; the given ones have names in lower case. */
export const signPost = (
  { host, body, headers, ...scope }: Scope & { host: string; body: string; headers: Record<string, string> },
  credentials: AwsCredentials,
  now: Date,
): Record<string, string> =>
  signRequest({ method: 'POST', host, path: '/', query: {}, headers, payloadHash: sha256(body) }, scope, credentials, now);

/** The query of a link that works for so many seconds, for a request with exactly these headers and any body that they allow. */
export const signLink = (
  request: Omit<RequestToSign, 'payloadHash'>,
  scope: Scope,
  credentials: AwsCredentials,
  { now, seconds }: { now: Date; seconds: number },
): string => {
  const { accessKeyId, sessionToken } = credentials;
  const query: Record<string, string> = {
    ...request.query,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${accessKeyId}/${scopeOf(scope, now)}`,
    'X-Amz-Date': timeOf(now),
    'X-Amz-Expires': String(seconds),
    'X-Amz-SignedHeaders': namesOf({ ...request.headers, host: '' }),
    ...(sessionToken && { 'X-Amz-Security-Token': sessionToken }),
  };
  const signature = createSignature({ ...request, query, payloadHash: 'UNSIGNED-PAYLOAD' }, scope, credentials, now);
  return `${formatQuery(query)}&X-Amz-Signature=${signature}`;
};

/** As it is sent and signed: sorted, and encoded more strictly than URLs are. */
export const formatQuery = (query: Record<string, string>): string =>
  Object.entries(query)
    .map(([name, value]) => [percentEncode(name), percentEncode(value)] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map((pair) => pair.join('='))
    .join('&');

export const percentEncode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

const createSignature = (
  { method, host, path, query, headers, payloadHash }: RequestToSign,
  scope: Scope,
  { secretAccessKey }: AwsCredentials,
  now: Date,
): string => {
  const all: Record<string, string> = { ...headers, host };
  const names = Object.keys(all).toSorted();
  const lines = names.map((name) => `${name}:${all[name]?.trim()}`);
  const canonical = [method, path, formatQuery(query), ...lines, '', names.join(';'), payloadHash].join('\n');
  const key = scopeOf(scope, now).split('/').reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
  return hmac(key, ['AWS4-HMAC-SHA256', timeOf(now), scopeOf(scope, now), sha256(canonical)].join('\n')).toString('hex');
};

const timeOf = (now: Date): string => now.toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
const scopeOf = ({ service, region }: Scope, now: Date): string => `${timeOf(now).slice(0, 8)}/${region}/${service}/aws4_request`;
const namesOf = (headers: Record<string, string>): string => Object.keys(headers).toSorted().join(';');
export const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
