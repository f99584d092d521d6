import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export class S3Error extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export type Credentials = { accessKeyId: string; secretAccessKey: string };

type Claim = { credential: string; signedHeaders: string; signature: string; date: string; expiresSeconds?: number; payloadHash: string };

const clockSkewMs = 15 * 60 * 1000;
const longestExpirySeconds = 7 * 24 * 60 * 60;

/**
 * Verifies Signature Version 4 of an Authorization header or a presigned link, or throws the error S3 answers with. The body is not read:
 * `payloadHash` says what was signed about it, a SHA-256 in hex, `UNSIGNED-PAYLOAD` or a `STREAMING-…` scheme.
 */
export function verifySignature(request: IncomingMessage, query: URLSearchParams, credentials: Credentials) {
  const { authorization } = request.headers;
  const presigned = query.has('X-Amz-Signature') || query.has('X-Amz-Algorithm');
  if (authorization && presigned) throw new S3Error(400, 'InvalidArgument', 'Only one auth mechanism allowed');
  if (!authorization && !presigned) throw new S3Error(403, 'AccessDenied', 'Access Denied');

  const claim = presigned ? claimOfLink(request, query) : claimOfHeader(request);
  const [accessKeyId, ...claimedScope] = claim.credential.split('/');
  const [, region = ''] = claimedScope;
  if (accessKeyId !== credentials.accessKeyId) throw new S3Error(403, 'InvalidAccessKeyId', 'The AWS Access Key Id does not exist.');
  refuseUnsignedHeaders(request, claim);
  const scope = [claim.date.slice(0, 8), region, 's3', 'aws4_request'];
  const toSign = `AWS4-HMAC-SHA256\n${claim.date}\n${scope.join('/')}\n${sha256(canonicalRequest(request, query, claim))}`;
  const signature = [...scope, toSign].reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`).toString('hex');
  if (!equalInConstantTime(signature, claim.signature) || scope.join('/') !== claimedScope.join('/')) {
    throw new S3Error(403, 'SignatureDoesNotMatch', 'The request signature we calculated does not match the signature you provided.');
  }
  refuseOutOfTime(claim);
  return { region, payloadHash: claim.payloadHash };
}

function claimOfHeader({ headers }: IncomingMessage): Claim {
  const pattern = /^AWS4-HMAC-SHA256 Credential=([^,]+), *SignedHeaders=([^,]+), *Signature=(\w+)$/;
  const [, credential, signedHeaders, signature] = pattern.exec(headers.authorization ?? '') ?? [];
  const { 'x-amz-date': date, 'x-amz-content-sha256': payloadHash } = headers;
  if (!credential || !signedHeaders || !signature || typeof date !== 'string' || typeof payloadHash !== 'string') {
    throw new S3Error(400, 'AuthorizationHeaderMalformed', 'Authorization, x-amz-date and x-amz-content-sha256 have to be those of SigV4.');
  }
  return { credential, signedHeaders, signature, date, payloadHash };
}

function claimOfLink({ headers }: IncomingMessage, query: URLSearchParams): Claim {
  const names = ['Credential', 'SignedHeaders', 'Signature', 'Date', 'Expires'];
  const [credential, signedHeaders, signature, date, expires] = names.map((name) => query.get(`X-Amz-${name}`));
  const validExpiry = /^\d+$/.test(expires ?? '') && Number(expires) <= longestExpirySeconds;
  if (!credential || !signedHeaders || !signature || !date || !validExpiry) {
    throw new S3Error(400, 'AuthorizationQueryParametersError', 'A link needs all X-Amz- parameters and expires within a week.');
  }
  const payloadHash = headers['x-amz-content-sha256'] ?? query.get('X-Amz-Content-Sha256') ?? 'UNSIGNED-PAYLOAD';
  return { credential, signedHeaders, signature, date, expiresSeconds: Number(expires), payloadHash: String(payloadHash) };
}

/** Otherwise whoever holds a link could add a header that changes what the request does. */
function refuseUnsignedHeaders({ headers }: IncomingMessage, { signedHeaders }: Claim): void {
  const needed = ['host', ...Object.keys(headers).filter((name) => name.startsWith('x-amz-'))];
  if (needed.every((name) => signedHeaders.split(';').includes(name))) return;
  throw new S3Error(403, 'AccessDenied', 'There were headers present in the request which were not signed');
}

function refuseOutOfTime({ date, expiresSeconds }: Claim): void {
  const signedAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  const ageMs = Date.now() - signedAt; // NaN for a malformed date: no comparison below holds then
  if (expiresSeconds !== undefined && ageMs > expiresSeconds * 1000) throw new S3Error(403, 'AccessDenied', 'Request has expired');
  if (ageMs >= -clockSkewMs && (expiresSeconds !== undefined || ageMs <= clockSkewMs)) return;
  throw new S3Error(403, 'RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.');
}

function canonicalRequest({ method, url = '', headersDistinct }: IncomingMessage, query: URLSearchParams, claim: Claim): string {
  const path = url.replace(/\?.*/s, '').split('/').map(decodeURIComponent).map(percentEncode).join('/');
  const parameters = [...query].filter(([name]) => name !== 'X-Amz-Signature').map((pair) => pair.map(percentEncode).join('='));
  const canonicalValue = (name: string) => (headersDistinct[name] ?? []).join(',').trim().replace(/\s+/g, ' ');
  const headers = claim.signedHeaders.split(';').map((name) => `${name}:${canonicalValue(name)}\n`);
  return `${method}\n${path}\n${parameters.sort().join('&')}\n${headers.join('')}\n${claim.signedHeaders}\n${claim.payloadHash}`;
}

export const percentEncode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${Buffer.from(character).toString('hex').toUpperCase()}`);
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
const equalInConstantTime = (a: string, b: string) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
