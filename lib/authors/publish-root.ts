import { isDeepStrictEqual } from 'node:util';
import type { Actor } from '../audit/actor.ts';
import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError, wrongField } from '../errors.ts';
import { type AuthorRoot, countRootSignatures, type RootClaims, type RootDocument, readRoot } from './root.ts';
import { findLatestRoot, findRoot, insertRoot } from './root-queries.ts';

/**
 * Publishes the next root. Checks all that devices will check, so that a wrong root is found before any device gets it. Publishing the same
 * document again changes nothing.
 *
 * @throws `request.invalid` when it is no root, has another version than the path, has expired, gives one key to two authors, or too few keys
 *   have signed it;
 *   `author_root.exists` when another document has this version, or this version is not the next one.
 */
export async function publishRoot(
  { db, now }: { db: Db; now: Clock },
  version: number,
  document: RootDocument,
  by: Actor,
): Promise<{ isNew: boolean; answer: AuthorRoot }> {
  const claims = readRoot(document);
  if (!claims) throw wrongField('request.invalid', 'payload', 'is no root: scu root sign makes one');
  if (claims.version !== version)
    throw wrongField('request.invalid', 'payload', `is version ${claims.version}, and the path says ${version}`);
  const existing = await findRoot(db, version);
  if (existing) {
    if (isDeepStrictEqual(existing.document, document)) return { isNew: false, answer: existing };
    throw rootExists(version);
  }
  const former = await findLatestRoot(db);
  if (version !== (former?.version ?? 0) + 1) {
    throw new DomainError('author_root.exists', `The next root is version ${(former?.version ?? 0) + 1}: none may be left out`);
  }
  const created_dt = now();
  if (claims.exp <= created_dt.getTime() / 1_000) throw wrongField('request.invalid', 'payload', 'has expired already');
  const shared = findSharedKey(claims);
  if (shared) throw wrongField('request.invalid', 'payload', `gives one key to ${shared}: devices would count its signature twice`);
  if (former) await checkSigned(document, readRoot(former.document), `root ${former.version}`);
  await checkSigned(document, claims, 'its own root keys');
  const answer: AuthorRoot = { version, document, created_by: by.subject, created_dt };
  await db.transaction().execute(async (trx) => {
    if (!(await insertRoot(trx, answer))) throw rootExists(version);
    const outcome = { after: { authors: claims.authors.map(({ owner }) => owner), exp: claims.exp } };
    await writeAuditLine(trx, by, { action: 'publish', resource: 'author_root', resource_id: String(version), outcome }, created_dt);
  });
  return { isNew: true, answer };
}

/** Two owners who have the same key. */
const findSharedKey = ({ authors }: RootClaims): string | undefined => {
  const ownerOf = new Map<string, string>();
  for (const { owner, keys } of authors) {
    for (const { x } of keys) {
      const other = ownerOf.get(x);
      if (other !== undefined && other !== owner) return `${other} and ${owner}`;
      ownerOf.set(x, owner);
    }
  }
  return undefined;
};

const checkSigned = async (document: RootDocument, signers: RootClaims | undefined, whose: string): Promise<void> => {
  if (!signers) throw new Error('A published root cannot be read');
  const signed = await countRootSignatures(document, signers.root_keys);
  if (signed >= signers.root_threshold) return;
  throw wrongField('request.invalid', 'signatures', `${signers.root_threshold} of ${whose} have to sign; ${signed} did`);
};

const rootExists = (version: number): DomainError =>
  new DomainError('author_root.exists', `There is another root ${version}`, {
    errors: [{ in: 'path', path: 'version', message: 'has been published with another document' }],
  });

/** @throws `author_root.not_found` */
export async function getRoot(db: Db, version: number): Promise<AuthorRoot> {
  const root = await findRoot(db, version);
  if (!root) throw new DomainError('author_root.not_found', `There is no author root ${version}`);
  return root;
}
