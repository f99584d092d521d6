import pg from 'pg';
import { DomainError } from '../errors.ts';
import { SecretUnavailable } from '../secret.ts';

/**
 * PostgreSQL's classes for "not now": connection lost, none free, shutting down, starting, read-only after a failover, a timeout, a
 * password that is being rotated.
 */
const passingStates = /^(08|28|53|57P0[1-5]|57014|25006|25P0[34]|40001|40P01|55P03)/;
/** States after which the server closes the connection: it is stopping, or the transaction or session took too long. */
const lastWords = /^(57P0[1-5]|25P0[34])/;
/**
 * Whether a prepared statement can no longer be used: a migration has changed what it answers, or a pooler has lent a connection on which it
 * was not prepared.
 */
const hasLostStatement = (error: unknown): boolean =>
  error instanceof pg.DatabaseError &&
  (error.code === '26000' || (error.code === '0A000' && error.message === 'cached plan must not change result type'));
const networkCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENOENT']);
/** pg throws these without a code. */
const connectionMessages =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client (has encountered a connection error|was closed and is not queryable))/i;

const isDatabaseUnavailable = (error: unknown): boolean => {
  if (error instanceof pg.DatabaseError) return passingStates.test(error.code ?? '') || hasLostStatement(error);
  if (error instanceof SecretUnavailable) return true; // without the password there is no connection
  if (error instanceof AggregateError) return error.errors.some(isDatabaseUnavailable);
  if (!(error instanceof Error)) return false;
  return networkCodes.has(String((error as NodeJS.ErrnoException).code)) || connectionMessages.test(error.message);
};

/** "invalid_password" and "invalid_authorization_specification", by which RDS Proxy says the same. */
export const refusesPassword = (error: unknown): boolean => error instanceof pg.DatabaseError && /^28/.test(error.code ?? '');

/** Whether a connection is of no use after this error: the server closes it, or it has to be made anew. */
export const endsConnection = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && (lastWords.test(error.code ?? '') || hasLostStatement(error));

/**
 * "character_not_in_repertoire" and "untranslatable_character": a text with NUL, as text and in JSON. Schemas refuse it and name its field
 * (lib/text.ts). If one gets past them, it is still the caller's error.
 */
const refusesText = (error: unknown): boolean => error instanceof pg.DatabaseError && (error.code === '22021' || error.code === '22P05');

/**
 * Turns "the database is not there" into `database.unavailable`, and a text that PostgreSQL cannot store into `request.invalid`; any other
 * error is answered as it came.
 */
export const toDomainError = (error: unknown): unknown => {
  if (isDatabaseUnavailable(error)) return new DomainError('database.unavailable', 'The database does not answer', { cause: error });
  if (refusesText(error))
    return new DomainError('request.invalid', 'A text of the request has a character that cannot be stored', { cause: error });
  return error;
};

/** The name of the constraint that a statement violated, if that is what failed. */
export const violatedConstraint = (error: unknown): string | undefined =>
  error instanceof pg.DatabaseError && error.code?.startsWith('23') ? error.constraint : undefined;
