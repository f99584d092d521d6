import type { Db } from '../db/database.ts';
import { DomainError, type FieldError } from '../errors.ts';
import { type AuthorKey, findKeyRefusal } from './author-key.ts';
import { listAuthorKeysByKid } from './author-key-queries.ts';
import type { AuthorSignature } from './signature.ts';
import { readKeyId, type SignedFile, UnbelievableStatement, verifyStatement } from './statement.ts';

/**
 * Verifies what authors have signed about a file, each statement with the key that it names.
 *
 * @throws `request.invalid`, which names each statement of the body's `signatures` that cannot be verified, and says why.
 */
export const checkSignatures = async (db: Db, statements: readonly string[], file: SignedFile, now: Date): Promise<AuthorSignature[]> => {
  const named = statements.map((jws) => ({ jws, kid: readKeyId(jws) }));
  const keys = await listAuthorKeysByKid(
    db,
    named.flatMap(({ kid }) => kid ?? []),
  );
  const keyOf = new Map(keys.map((key) => [key.kid, key]));
  const errors: FieldError[] = [];
  const signatures: AuthorSignature[] = [];
  for (const [position, { jws, kid }] of named.entries()) {
    try {
      signatures.push(await check(jws, kid === undefined ? undefined : keyOf.get(kid), file, now));
    } catch (error) {
      if (!(error instanceof UnbelievableStatement)) throw error;
      errors.push({ in: 'body', path: `signatures.${position}`, message: error.message });
    }
  }
  if (errors.length > 0) throw new DomainError('request.invalid', 'A signature cannot be verified', { errors });
  return signatures;
};

const check = async (jws: string, key: AuthorKey | undefined, file: SignedFile, now: Date): Promise<AuthorSignature> => {
  if (!key) throw new UnbelievableStatement('it names no key that is known here: add it with POST /v1/author-keys');
  const refusal = findKeyRefusal(key, file.hardware_type, now);
  if (refusal) throw new UnbelievableStatement(refusal);
  const statement = await verifyStatement(jws, key.public_key, file);
  return { ...statement, owner: key.owner, jws };
};

/** Joins known and new signatures; of each key and kind only the later one is kept. */
export const mergeSignatures = (before: readonly AuthorSignature[], later: readonly AuthorSignature[]): AuthorSignature[] => {
  const byKey = new Map([...before, ...later].map((signature) => [`${signature.kind} ${signature.kid}`, signature]));
  return [...byKey.values()];
};
