import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { toDomainError, violatedConstraint } from '../../../lib/db/database-error.ts';
import { DomainError } from '../../../lib/errors.ts';

const databaseError = (code: string, rest: Partial<pg.DatabaseError> = {}) =>
  Object.assign(new pg.DatabaseError('said by PostgreSQL', 0, 'error'), { code, ...rest });
const networkError = (code: string) => Object.assign(new Error(`connect ${code} 10.0.0.1:5432`), { code });

describe('a text that PostgreSQL cannot store', () => {
  it.each([
    ['character_not_in_repertoire: NUL in a text', '22021'],
    ['untranslatable_character: NUL in a text of JSON', '22P05'],
  ])('is a wrong request, wherever it came through: %s', (_, code) => {
    const mapped = toDomainError(databaseError(code));
    expect(mapped).toMatchObject({ code: 'request.invalid', message: 'A text of the request has a character that cannot be stored' });
  });
});

describe('an error that means "not now"', () => {
  it.each<[string, unknown]>([
    ['connection_failure', databaseError('08006')],
    ['connection_does_not_exist', databaseError('08003')],
    ['too_many_connections', databaseError('53300')],
    ['disk_full', databaseError('53100')],
    ['admin_shutdown', databaseError('57P01')],
    ['crash_shutdown', databaseError('57P02')],
    ['cannot_connect_now', databaseError('57P03')],
    ['idle_session_timeout', databaseError('57P05')],
    ['query_canceled: a statement that takes too long', databaseError('57014')],
    ['idle_in_transaction_session_timeout', databaseError('25P03')],
    ['read_only_sql_transaction: the server that was the primary before a failover', databaseError('25006')],
    ['invalid_password: one that is being rotated', databaseError('28P01')],
    ['serialization_failure', databaseError('40001')],
    ['deadlock_detected', databaseError('40P01')],
    ['lock_not_available', databaseError('55P03')],
    ['nobody listens', networkError('ECONNREFUSED')],
    ['reset', networkError('ECONNRESET')],
    ['network timeout', networkError('ETIMEDOUT')],
    ['broken pipe', networkError('EPIPE')],
    ['unknown host', networkError('ENOTFOUND')],
    ['no name service', networkError('EAI_AGAIN')],
    ['several addresses, none of which answers', new AggregateError([networkError('ECONNREFUSED'), networkError('ETIMEDOUT')])],
    ['pg: lost while a statement ran', new Error('Connection terminated unexpectedly')],
    ['pg: lost while connecting', new Error('Connection terminated due to connection timeout')],
    ['pg: no connection free', new Error('timeout exceeded when trying to connect')],
    ['pg: ended because no answer came', new Error('Client was closed and is not queryable')],
    ['pg: broken before', new Error('Client has encountered a connection error and is not queryable')],
  ])('becomes database.unavailable and keeps its cause: %s', (_, error) => {
    const mapped = toDomainError(error);
    expect(mapped).toBeInstanceOf(DomainError);
    expect(mapped).toMatchObject({ code: 'database.unavailable', message: 'The database does not answer', cause: error });
  });
});

describe('any other error', () => {
  it.each<[string, unknown]>([
    ['unique_violation', databaseError('23505')],
    ['syntax_error', databaseError('42601')],
    ['undefined_table: the migrations did not run', databaseError('42P01')],
    ['invalid_text_representation', databaseError('22P02')],
    ['in_failed_sql_transaction', databaseError('25P02')],
    ['a database error without a code', new pg.DatabaseError('x', 0, 'error')],
    ['an error of our own', new DomainError('device.not_found', 'x')],
    ['a programming error', new TypeError("Cannot read properties of undefined (reading 'code')")],
    ['an error that only mentions it', new Error('The Connection terminated')],
    ['no error at all', undefined],
    ['a text', 'ECONNREFUSED'],
    ['an empty group', new AggregateError([])],
  ])('stays what it is: %s', (_, error) => {
    expect(toDomainError(error)).toBe(error);
  });
});

describe('the violated constraint', () => {
  it.each(['23502', '23503', '23505', '23514', '23P01'])('is named for the integrity error %s', (code) => {
    expect(violatedConstraint(databaseError(code, { constraint: 'devices_kind_check' }))).toBe('devices_kind_check');
  });

  it('is undefined for anything else', () => {
    expect(violatedConstraint(databaseError('42601', { constraint: 'x' }))).toBeUndefined();
    expect(violatedConstraint(databaseError('23502'))).toBeUndefined();
    expect(violatedConstraint({ code: '23505', constraint: 'x' })).toBeUndefined();
    expect(violatedConstraint(undefined)).toBeUndefined();
  });
});
