import { isDeepStrictEqual } from 'node:util';
import { calculateJwkThumbprint, importJWK } from 'jose';
import type { Actor } from '../audit/actor.ts';
import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { DomainError, wrongField } from '../errors.ts';
import { type AuthorKey, algorithmOf, type NewAuthorKey } from './author-key.ts';
import { findAuthorKey, insertAuthorKey, listAuthorKeysByKid, revokeKey } from './author-key-queries.ts';

/**
 * Adds the public key of somebody who makes firmware. The same request again changes nothing.
 *
 * @throws `request.invalid` for numbers that are no point of the curve, or a validity that ends before it begins; `author_key.exists` when the
 *   same key is known with another owner or other hardware types.
 */
export async function addAuthorKey(
  { db, now }: { db: Db; now: Clock },
  { public_key, owner, hardware_types, valid_from_dt = now(), valid_until_dt }: NewAuthorKey,
  by: Actor,
): Promise<{ isNew: boolean; answer: AuthorKey }> {
  await importJWK(public_key, algorithmOf(public_key)).catch(() => {
    throw wrongField('request.invalid', 'public_key', `is no point of the curve ${public_key.crv}`);
  });
  if (valid_until_dt && valid_until_dt <= valid_from_dt) {
    throw wrongField('request.invalid', 'valid_until_dt', 'must be later than valid_from_dt');
  }
  const kid = await calculateJwkThumbprint(public_key, 'sha256');
  const row = { kid, owner, public_key, hardware_types: [...new Set(hardware_types)].sort(), valid_from_dt, valid_until_dt };
  const added = await db.transaction().execute(async (trx) => {
    const inserted = await insertAuthorKey(trx, { ...row, created_by: by.subject, created_dt: now() });
    if (inserted) await audit(trx, by, 'add', inserted, now());
    return inserted;
  });
  if (added) return { isNew: true, answer: added };
  const [existing] = await listAuthorKeysByKid(db, [kid]);
  if (!existing) throw new Error('An author key that could not be inserted because it exists does not exist');
  const isSame = existing.owner === owner && existing.revoked_dt === null && isDeepStrictEqual(existing.hardware_types, row.hardware_types);
  if (isSame) return { isNew: false, answer: existing };
  throw new DomainError('author_key.exists', `This key is known already: ${existing.revoked_dt ? 'revoked, ' : ''}of ${existing.owner}`, {
    errors: [{ in: 'body', path: 'public_key', message: 'is a key that is known already' }],
    answer: { author_key_id: existing.id },
  });
}

/**
 * Revokes a key: from now on new signatures of this key are refused. Firmwares that are available stay available: withdraw those that the key
 * should not have signed. A key that is revoked already keeps its first reason.
 *
 * @throws `author_key.not_found`
 */
export async function revokeAuthorKey({ db, now }: { db: Db; now: Clock }, id: number, reason: string, by: Actor): Promise<AuthorKey> {
  return db.transaction().execute(async (trx) => {
    const revoked = await revokeKey(trx, id, { revoked_dt: now(), revoked_by: by.subject, revocation_reason: reason });
    if (revoked) await audit(trx, by, 'revoke', revoked, now());
    const key = revoked ?? (await findAuthorKey(trx, id));
    if (!key) throw new DomainError('author_key.not_found', `There is no author key ${id}`);
    return key;
  });
}

const audit = (
  trx: Trx,
  by: Actor,
  action: 'add' | 'revoke',
  { id, kid, owner, hardware_types, revocation_reason }: AuthorKey,
  now: Date,
) => {
  const after = { kid, owner, hardware_types, ...(action === 'revoke' && { revocation_reason }) };
  return writeAuditLine(trx, by, { action, resource: 'author_key', resource_id: String(id), outcome: { after } }, now);
};
