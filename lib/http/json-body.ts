import type { APIGatewayProxyEvent } from 'aws-lambda';
import { DomainError } from '../errors.ts';
import { defaultMaximumBodyBytes } from './route.ts';

/** Also types with the suffix +json (RFC 6839), such as `application/merge-patch+json`. */
const jsonContentType = /^application\/(?:[a-z0-9.+-]+\+)?json\s*(?:;|$)/i;

export interface JsonBodyOptions {
  maximumBodyBytes?: number | undefined;
  /** Whether the body may be left out, as `curl -X POST` does; then the content type may be missing, too. */
  isOptional: boolean;
}

/**
 * The body of a request; undefined when it was left out (`null` is a body). A key `__proto__` is a key like any other.
 *
 * @throws `request.too_large`, `request.unsupported_media_type`, `request.malformed`.
 */
export const readJsonBody = (
  { headers, body, isBase64Encoded }: Pick<APIGatewayProxyEvent, 'headers' | 'body' | 'isBase64Encoded'>,
  { maximumBodyBytes = defaultMaximumBodyBytes, isOptional }: JsonBodyOptions,
): unknown => {
  if (body && Buffer.byteLength(body, isBase64Encoded ? 'base64' : 'utf8') > maximumBodyBytes) {
    throw new DomainError('request.too_large', `The body may have ${maximumBodyBytes} bytes`);
  }
  if (isOptional && !body) return undefined;
  if (!jsonContentType.test(headers['content-type'] ?? '')) {
    throw new DomainError('request.unsupported_media_type', 'The body has to be application/json');
  }
  if (body === null) return undefined;
  return parse(isBase64Encoded ? decodeBase64(body) : body);
};

const malformed = (cause?: unknown) => new DomainError('request.malformed', 'The body is not well-formed JSON', { cause });

const decodeBase64 = (body: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(body, 'base64'));
  } catch (error) {
    throw malformed(error);
  }
};

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed(error);
  }
};
