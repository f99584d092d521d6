import { sql } from 'kysely';
import { DomainError } from '../errors.ts';
import { readAnswer } from '../http/idempotency.ts';
import type { Db, Trx } from './database.ts';

/** What a request with an idempotency key makes. Its row keeps the key, the hash of the request and the answer. */
export type Requested = 'assembly' | 'observation' | 'update';

const tables = { assembly: 'assemblies', observation: 'observations', update: 'updates' } as const satisfies Record<Requested, string>;

/** The request that the caller made with this key, and the answer to it. */
export const findIdempotentRequest = async <Answer>(db: Db, requested: Requested, created_by: string, idempotency_key: string) => {
  const {
    rows: [row],
  } = await sql<{ id: number; request_hash: string | null; answer: string | null }>`
    SELECT id, request_hash, answer::text AS answer
    FROM ${sql.table(tables[requested])}
    WHERE created_by = ${created_by} AND idempotency_key = ${idempotency_key}`.execute(db);
  return row && { ...row, answer: readAnswer<Answer>(row.answer) };
};

/** Keeps the answer to a request, for a repetition of the request with the same key. */
export const keepAnswer = async (trx: Trx, requested: Requested, answer: { id: number }): Promise<void> => {
  await sql`UPDATE ${sql.table(tables[requested])} SET answer = ${JSON.stringify(answer)} WHERE id = ${answer.id}`.execute(trx);
};

/** The error for another request with a known key. */
export const keyReused = (requested: Requested, id: number): DomainError =>
  new DomainError(`${requested}.idempotency_key_reused`, 'This Idempotency-Key was used for another request', {
    errors: [{ in: 'header', path: 'idempotency-key', message: 'was used for another request' }],
    answer: { [`${requested}_id`]: id },
  });
