import pg from 'pg';
import { DomainError } from '../errors.ts';

/** PostgreSQL's classes for "not now": connection lost, out of connections, shutting down, starting, statement or lock timeout. */
const passingStates = /^(08|53|57P0[1-5]|57014|25P03|40001|40P01|55P03)/;
const networkCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENOENT']);
/** pg throws these two without a code. */
const connectionMessages =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client has encountered a connection error)/i;

const isDatabaseUnavailable = (error: unknown): boolean => {
  if (error instanceof pg.DatabaseError) return passingStates.test(error.code ?? '');
  if (error instanceof AggregateError) return error.errors.some(isDatabaseUnavailable);
  if (!(error instanceof Error)) return false;
  return networkCodes.has(String((error as NodeJS.ErrnoException).code)) || connectionMessages.test(error.message);
};

/** Turns "the database is not there" into `database.unavailable`; any other error is answered as it came. */
export const toDomainError = (error: unknown): unknown =>
  isDatabaseUnavailable(error) ? new DomainError('database.unavailable', 'The database does not answer', { cause: error }) : error;

/** The name of the constraint that a statement violated, if that is what failed. */
export const violatedConstraint = (error: unknown): string | undefined =>
  error instanceof pg.DatabaseError && error.code?.startsWith('23') ? error.constraint : undefined;
