/** Every code a caller can meet in a problem document. Stable: others branch on it. `lib/http/problem.ts` maps each to a status. */
export type ErrorCode =
  | 'request.malformed'
  | 'request.invalid'
  | 'request.too_large'
  | 'request.unsupported_media_type'
  | 'answer.too_large'
  | 'route.not_found'
  | 'route.method_not_allowed'
  | 'auth.missing_token'
  | 'auth.invalid_token'
  | 'auth.insufficient_scope'
  | 'auth.keys_unavailable'
  | 'auth.device_refused'
  | 'hardware_type.unknown'
  | 'hardware_type.exists'
  | 'hardware_type.not_found'
  | 'hardware_type.in_use'
  | 'firmware.not_found'
  | 'firmware.exists'
  | 'firmware.not_available'
  | 'firmware.not_withdrawable'
  | 'firmware.not_deletable'
  | 'firmware.look_alike'
  | 'firmware.version_num_taken'
  | 'firmware.version_num_fixed'
  | 'firmware.not_signable'
  | 'author_key.not_found'
  | 'author_key.exists'
  | 'author_key.revoked'
  | 'author_root.not_found'
  | 'author_root.exists'
  | 'assembly.not_found'
  | 'assembly.idempotency_key_reused'
  | 'zone.not_found'
  | 'zone.exists'
  | 'zone.in_use'
  | 'group.not_found'
  | 'group.exists'
  | 'group.in_use'
  | 'device.not_found'
  | 'device.exists'
  | 'device.too_many_tags'
  | 'device.not_iot'
  | 'execution.not_found'
  | 'update.not_found'
  | 'update.ended'
  | 'update.not_ended'
  | 'update.nothing_eligible'
  | 'update.executions_removed'
  | 'update.canceling'
  | 'update.idempotency_key_reused'
  | 'update.not_waiting_for_approval'
  | 'approval.second_person'
  | 'observation.not_found'
  | 'observation.idempotency_key_reused'
  | 'database.unavailable'
  | 'storage.unavailable'
  | 'queue.unavailable'
  | 'signing.unavailable'
  | 'internal';

/** A field of a request that is wrong; `path` is dotted, for example `devices.3.kind`. */
export interface FieldError {
  in: 'path' | 'query' | 'header' | 'body';
  path: string;
  message: string;
}

/** A caller sees at most so many wrong fields, and the number of all. */
export const maximumFieldErrors = 100;

export interface DomainErrorOptions {
  /** The wrong fields: of more than {@link maximumFieldErrors} the caller sees only the first. */
  errors?: readonly FieldError[];
  /** How many fields are wrong, where `errors` has only the first. */
  errorCount?: number;
  /** Further members of the problem document; the caller sees them. */
  answer?: Readonly<Record<string, unknown>>;
  cause?: unknown;
  retryAfterSeconds?: number;
}

/** A situation the caller is told about: `code` is stable and `message` safe to show. */
export class DomainError extends Error {
  override readonly name = 'DomainError';
  readonly code: ErrorCode;
  readonly options: DomainErrorOptions;

  constructor(code: ErrorCode, message: string, options: DomainErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.options = options;
  }
}

/** One wrong field of a body, for rules that only the database can check. */
export const wrongField = (code: ErrorCode, path: string, message: string): DomainError =>
  new DomainError(code, message, { errors: [{ in: 'body', path, message }] });
