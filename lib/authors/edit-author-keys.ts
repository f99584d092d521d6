import { isDeepStrictEqual } from 'node:util';
import { calculateJwkThumbprint, importJWK } from 'jose';
import type { Actor } from '../audit/actor.ts';
import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { DomainError, wrongField } from '../errors.ts';
import { type AuthorKey, algorithmOf, type NewAuthorKey } from './author-key.ts';
import { approveKey, findAuthorKey, insertAuthorKey, listAuthorKeysByKid, lockAuthorKey, revokeKey } from './author-key-queries.ts';

export interface EditAuthorKeysDeps {
  db: Db;
  /** Whether somebody else has to approve a key before it is believed. */
  keysNeedApproval?: boolean;
  now: Clock;
}

/**
 * Adds the public key of somebody who makes firmware. The same request again changes nothing.
 *
 * @throws `request.invalid` for numbers that are no point of the curve, or a validity that ends before it begins; `author_key.exists` when the
 *   same key is known with another owner or other hardware types.
 */
export async function addAuthorKey(
  { db, keysNeedApproval = false, now }: EditAuthorKeysDeps,
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
  const allowed = { hardware_types: [...new Set(hardware_types)].sort(), valid_from_dt, valid_until_dt };
  const row = { kid, owner, public_key, ...allowed, needs_approval: keysNeedApproval };
  const added = await db.transaction().execute(async (trx) => {
    const inserted = await insertAuthorKey(trx, { ...row, created_by: by.subject, created_dt: now() });
    if (inserted) await audit(trx, 'add', inserted, { by, now: now() });
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
 * Has a key believed that waits for approval. One that is believed already is not changed.
 *
 * @throws `author_key.not_found`, `approval.second_person` for whoever added it; `author_key.revoked`
 */
export async function approveAuthorKey({ db, now }: EditAuthorKeysDeps, id: number, by: Actor): Promise<AuthorKey> {
  return db.transaction().execute(async (trx) => {
    const key = await lockAuthorKey(trx, id);
    if (!key) throw notFound(id);
    if (!key.needs_approval || key.approved_dt) return key;
    if (key.revoked_dt) throw new DomainError('author_key.revoked', `Author key ${id} was revoked`);
    if (key.created_by === by.subject) {
      throw new DomainError('approval.second_person', `You have added author key ${id}: somebody else has to approve it`);
    }
    const approved = await approveKey(trx, id, { approved_by: by.subject, approved_dt: now() });
    await audit(trx, 'approve', approved, { by, now: now() });
    return approved;
  });
}

/**
 * Revokes a key: from now on new signatures of this key are refused. One person can do that: a stolen key must not wait for a second. Firmwares that are available stay available: withdraw those that the key
 * should not have signed. A key that is revoked already keeps its first reason.
 *
 * @throws `author_key.not_found`
 */
export async function revokeAuthorKey({ db, now }: EditAuthorKeysDeps, id: number, reason: string, by: Actor): Promise<AuthorKey> {
  return db.transaction().execute(async (trx) => {
    const revoked = await revokeKey(trx, id, { revoked_dt: now(), revoked_by: by.subject, revocation_reason: reason });
    if (revoked) await audit(trx, 'revoke', revoked, { by, now: now() });
    const key = revoked ?? (await findAuthorKey(trx, id));
    if (!key) throw notFound(id);
    return key;
  });
}

const notFound = (id: number) => new DomainError('author_key.not_found', `There is no author key ${id}`);

const audit = (
  trx: Trx,
  action: 'add' | 'approve' | 'revoke',
  { id, kid, owner, hardware_types, revocation_reason }: AuthorKey,
  { by, now }: { by: Actor; now: Date },
) => {
  const after = { kid, owner, hardware_types, ...(action === 'revoke' && { revocation_reason }) };
  return writeAuditLine(trx, by, { action, resource: 'author_key', resource_id: String(id), outcome: { after } }, now);
};
