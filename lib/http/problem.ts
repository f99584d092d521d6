import * as z from 'zod/mini';
import { type DomainError, type ErrorCode, type FieldError, maximumFieldErrors } from '../errors.ts';
import { shorten } from '../text.ts';

/** The one table from code to status. */
const statusOf: Readonly<Record<ErrorCode, number>> = {
  'request.malformed': 400,
  'request.invalid': 400,
  'request.too_large': 413,
  'request.unsupported_media_type': 415,
  'answer.too_large': 422,
  'route.not_found': 404,
  'route.method_not_allowed': 405,
  'auth.missing_token': 401,
  'auth.invalid_token': 401,
  'auth.insufficient_scope': 403,
  'auth.keys_unavailable': 503,
  'auth.device_refused': 401,
  'hardware_type.unknown': 400,
  'hardware_type.exists': 409,
  'hardware_type.not_found': 404,
  'hardware_type.in_use': 409,
  'firmware.not_found': 404,
  'firmware.exists': 409,
  'firmware.not_available': 422,
  'firmware.not_withdrawable': 409,
  'firmware.not_deletable': 409,
  'firmware.look_alike': 409,
  'firmware.version_num_taken': 409,
  'firmware.version_num_fixed': 409,
  'firmware.not_signable': 409,
  'author_key.not_found': 404,
  'author_key.exists': 409,
  'author_key.revoked': 409,
  'author_root.not_found': 404,
  'author_root.exists': 409,
  'assembly.not_found': 404,
  'assembly.idempotency_key_reused': 422,
  'zone.not_found': 404,
  'zone.exists': 409,
  'zone.in_use': 409,
  'group.not_found': 404,
  'group.exists': 409,
  'group.in_use': 409,
  'device.not_found': 404,
  'device.exists': 409,
  'device.too_many_tags': 409,
  'device.not_iot': 409,
  'execution.not_found': 404,
  'update.not_found': 404,
  'update.ended': 409,
  'update.not_ended': 409,
  'update.nothing_eligible': 422,
  'update.executions_removed': 422,
  'update.canceling': 409,
  'update.idempotency_key_reused': 422,
  'update.not_waiting_for_approval': 409,
  'approval.second_person': 403,
  'observation.not_found': 404,
  'observation.idempotency_key_reused': 422,
  'database.unavailable': 503,
  'storage.unavailable': 503,
  'queue.unavailable': 503,
  'signing.unavailable': 503,
  internal: 500,
};

export const titleOf: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

const defaultRetryAfterSeconds = 2;

/** The document that a caller gets for an error (RFC 9457), as `application/problem+json`. Some codes add members of their own. */
export const Problem = z
  .looseObject({
    type: z.string().check(z.meta({ description: 'urn:scooters-updater:problem:{code}' })),
    title: z.string(),
    status: z.int(),
    code: z.string().check(z.meta({ description: 'Stable; to branch on', example: 'request.invalid' })),
    detail: z.string().check(z.meta({ description: 'For people' })),
    request_id: z.string().check(z.meta({ description: 'To be named when asking for help' })),
    errors: z
      .optional(z.array(z.object({ in: z.enum(['path', 'query', 'header', 'body']), path: z.string(), message: z.string() })))
      .check(
        z.meta({ description: `The wrong fields, the first ${maximumFieldErrors} of them; path is dotted, for example devices.3.kind` }),
      ),
    error_count: z.optional(z.int()).check(z.meta({ description: 'How many fields are wrong' })),
  })
  .register(z.globalRegistry, { id: 'Problem' });

export interface Answer {
  statusCode: number;
  headers: Record<string, string>;
  body: string;
}

/** The detail quotes names and values of fields, which may be as long as a request body; so it has to be cut. */
const maximumDetailLength = 2_000;
const shortened = (error: FieldError): FieldError => ({ ...error, path: shorten(error.path, 300), message: shorten(error.message, 500) });

export const statusOfError = (error: DomainError): number => statusOf[error.code];

export const toProblemAnswer = (error: DomainError, requestId: string, defaultRetryAfter = defaultRetryAfterSeconds): Answer => {
  const status = statusOfError(error);
  const { answer = {}, errors, errorCount = errors?.length, retryAfterSeconds } = error.options;
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    'x-request-id': requestId,
  };
  const retryAfter = retryAfterSeconds ?? (status === 503 ? defaultRetryAfter : undefined);
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
  if (status === 401 || status === 403) headers['www-authenticate'] = challengeOf(error.code);
  const problem = {
    type: `urn:scooters-updater:problem:${error.code}`,
    title: titleOf[status],
    status,
    code: error.code,
    detail: shorten(error.message, maximumDetailLength),
    request_id: requestId,
    ...(errors && { errors: errors.slice(0, maximumFieldErrors).map(shortened), error_count: errorCount }),
    ...answer,
  };
  return { statusCode: status, headers, body: JSON.stringify(problem) };
};

/** RFC 6750, section 3; devices use hawkBit's scheme. */
const challengeOf = (code: ErrorCode): string => {
  if (code === 'auth.device_refused') return 'TargetToken';
  if (code === 'auth.invalid_token') return 'Bearer error="invalid_token"';
  return code === 'auth.insufficient_scope' ? 'Bearer error="insufficient_scope"' : 'Bearer';
};
