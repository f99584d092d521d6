import { type CompactJWSHeaderParameters, compactVerify, importJWK } from 'jose';
import * as z from 'zod/mini';
import { HardwareTypeName, Sha256 } from '../firmware/firmware.ts';
import { FirmwareVersion } from '../firmware/version.ts';
import { type AuthorPublicKey, algorithmOf } from './author-key.ts';

/**
 * What an author signs about a firmware: a compact JWS (RFC 7515), separate from the firmware's file:
 *
 * - `release`: these bytes are this version, number `author_version` of the author's releases for this hardware type;
 * - `downgrade`: until `exp`, devices may go back to it.
 */
export const statementTypes = { release: 'firmware-release+jwt', downgrade: 'firmware-downgrade+jwt' } as const;
export type StatementKind = keyof typeof statementTypes;

const subject = {
  hardware_type: HardwareTypeName,
  version: FirmwareVersion,
  size_bytes: z.int().check(z.minimum(1)),
  sha256: Sha256,
  author_version: z.int().check(z.minimum(1)),
  iat: z.int(),
};
const Release = z.strictObject(subject);
const Downgrade = z.strictObject({ ...subject, exp: z.int() });

/** Which bytes a statement has to be about. */
export interface SignedFile {
  hardware_type: string;
  version: string;
  size_bytes: number;
  sha256: string;
}

export interface Statement {
  kind: StatementKind;
  kid: string;
  author_version: number;
}

/** A statement that cannot be verified. The message says why, and is shown to the caller. */
export class UnbelievableStatement extends Error {
  override readonly name = 'UnbelievableStatement';
}

/** Long enough for two authors' names and no more; a manifest carries it to devices. */
export const maximumStatementLength = 1_500;

export const CompactJws = z
  .string()
  .check(
    z.maxLength(maximumStatementLength),
    z.regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, 'must be a JWS in its compact form'),
    z.meta({ description: 'A JWS in its compact form, made by `scu firmware sign`' }),
  );

export const StatementList = z.array(CompactJws).check(z.maxLength(10));

/** The kid that a JWS names; its signature is not checked here. */
export const readKeyId = (jws: string): string | undefined => {
  try {
    const { kid } = JSON.parse(Buffer.from(jws.split('.')[0] ?? '', 'base64url').toString('utf8')) as { kid?: unknown };
    return typeof kid === 'string' ? kid : undefined;
  } catch {
    return undefined;
  }
};

/**
 * Checks a statement against the key that it names and the file that it has to be about.
 *
 * @throws {@link UnbelievableStatement}
 */
export const verifyStatement = async (jws: string, key: AuthorPublicKey, file: SignedFile): Promise<Statement> => {
  const { header, payload } = await open(jws, key);
  const kind = (Object.keys(statementTypes) as StatementKind[]).find((name) => statementTypes[name] === header.typ);
  if (!kind) throw new UnbelievableStatement(`its typ is none of ${Object.values(statementTypes).join(', ')}`);
  const parsed = z.safeParse(kind === 'release' ? Release : Downgrade, payload);
  if (!parsed.success) throw new UnbelievableStatement(`its payload is no ${kind} statement: ${parsed.error.issues[0]?.message}`);
  const wrong = (['hardware_type', 'version', 'size_bytes', 'sha256'] as const).find((field) => parsed.data[field] !== file[field]);
  if (wrong) throw new UnbelievableStatement(`it is about ${wrong} ${parsed.data[wrong]}, and the firmware has ${file[wrong]}`);
  return { kind, kid: String(header.kid), author_version: parsed.data.author_version };
};

const open = async (jws: string, key: AuthorPublicKey): Promise<{ header: CompactJWSHeaderParameters; payload: unknown }> => {
  const algorithm = algorithmOf(key);
  try {
    const { protectedHeader, payload } = await compactVerify(jws, await importJWK(key, algorithm), { algorithms: [algorithm] });
    return { header: protectedHeader, payload: JSON.parse(Buffer.from(payload).toString('utf8')) };
  } catch (cause) {
    throw new UnbelievableStatement('it is not signed by the key that it names', { cause });
  }
};
