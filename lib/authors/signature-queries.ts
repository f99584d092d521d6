import { sql } from 'kysely';
import type { Db, Trx } from '../db/database.ts';
import type { AuthorSignature, SignedPart } from './signature.ts';

export interface Signed {
  author_signatures: AuthorSignature[];
}

/** What authors have signed about a firmware. Locked: nobody adds a signature before the transaction ends. */
export const lockSignatures = async (trx: Trx, firmware_id: number): Promise<AuthorSignature[]> => {
  const query = trx.selectFrom('firmwares').select('author_signatures').where('id', '=', firmware_id).forUpdate();
  return (await query.$narrowType<Signed>().executeTakeFirstOrThrow()).author_signatures;
};

export const storeSignatures = async (trx: Trx, firmware_id: number, signatures: readonly AuthorSignature[]): Promise<void> => {
  await trx
    .updateTable('firmwares')
    .set({ author_signatures: JSON.stringify(signatures) })
    .where('id', '=', firmware_id)
    .execute();
};

const storeSignedParts = async (trx: Trx, firmware_id: number, parts: readonly SignedPart[]): Promise<void> => {
  await trx
    .updateTable('firmwares')
    .set({ signed_parts: JSON.stringify(parts) })
    .where('id', '=', firmware_id)
    .execute();
};

export interface Part extends Omit<SignedPart, 'author_signatures'>, Signed {}

/** The parts of the package that a firmware is, in the order of its request; none when it is no package. */
export const listParts = async (db: Db, assembly_id: number | null): Promise<Part[]> => {
  if (assembly_id === null) return [];
  const { rows } = await sql<Part>`
    SELECT f.hardware_type, f.version, f.size_bytes, f.sha256, f.author_signatures
    FROM assembly_parts p
    JOIN firmwares f ON f.id = p.firmware_id
    WHERE p.assembly_id = ${assembly_id}
    ORDER BY p.position`.execute(db);
  return rows;
};

/**
 * Stores with a package what authors have signed about its parts, because devices check it when they get the package. Answers the parts; none
 * when it is no package. The package has to be locked ({@link lockSignatures}).
 */
export const carrySignedParts = async (trx: Trx, firmware_id: number, assembly_id: number | null): Promise<Part[]> => {
  const parts = await listParts(trx, assembly_id);
  const signed = parts.map(({ author_signatures, ...part }) => ({ ...part, author_signatures: author_signatures.map(({ jws }) => jws) }));
  if (signed.some(({ author_signatures }) => author_signatures.length > 0)) await storeSignedParts(trx, firmware_id, signed);
  return parts;
};

/** The packages that a firmware is a part of. */
export const listPackagesWith = (db: Db, part_id: number): Promise<{ id: number; assembly_id: number }[]> =>
  db
    .selectFrom('assembly_parts as p')
    .innerJoin('firmwares as f', 'f.assembly_id', 'p.assembly_id')
    .select(['f.id', 'p.assembly_id'])
    .distinct()
    .where('p.firmware_id', '=', part_id)
    .orderBy('f.id')
    .execute();

/** The kids of those signatures whose keys have been revoked. */
export const listRevokedKids = async (db: Db, signatures: readonly AuthorSignature[]): Promise<string[]> => {
  if (signatures.length === 0) return [];
  const kids = signatures.map(({ kid }) => kid);
  const rows = await db.selectFrom('author_keys').select('kid').where('kid', 'in', kids).where('revoked_dt', 'is not', null).execute();
  return rows.map(({ kid }) => kid);
};

/** Another firmware for which an author has used one of these numbers. */
export const findUsedNumber = async (trx: Trx, firmware_id: number, hardware_type: string, signatures: readonly AuthorSignature[]) => {
  const numbers = signatures
    .filter(({ kind }) => kind === 'release')
    .map(({ owner, kind, author_version }) => [{ owner, kind, author_version }]);
  if (numbers.length === 0) return undefined;
  const { rows } = await sql<{ id: number; version: string; owner: string; author_version: number }>`
    SELECT f.id, f.version, used->0->>'owner' AS owner, (used->0->>'author_version')::float8 AS author_version
    FROM firmwares f, unnest(${numbers.map((number) => JSON.stringify(number))}::jsonb[]) AS used
    WHERE f.hardware_type = ${hardware_type} AND f.id <> ${firmware_id} AND f.author_signatures @> used
    LIMIT 1`.execute(trx);
  return rows[0];
};
