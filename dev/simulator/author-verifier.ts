// What a device does with the signatures of a firmware's authors: the reference for people who write device software (docs/devices.md). It uses
// none of the service's code or keys: somebody who controls the service must not be able to fool a device.
import { createHash } from 'node:crypto';
import { calculateJwkThumbprint, compactVerify, decodeProtectedHeader, flattenedVerify, importJWK, type JWK } from 'jose';
import { z } from 'zod';
import { Refused } from './refused.ts';

const Key = z.discriminatedUnion('kty', [
  z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() }),
  z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() }),
]);

/** Says which authors a device believes. A device is made with a first root. */
export const Root = z.object({
  version: z.int().min(1),
  iat: z.int(),
  exp: z.int(),
  root_keys: z.array(Key).min(1),
  root_threshold: z.int().min(1),
  authors: z.array(z.object({ owner: z.string(), keys: z.array(Key), hardware_types: z.array(z.string()) })),
  signatures_required: z.record(z.string(), z.int().min(0)),
  /** Of the service, instead of those that the device was made with: so a stolen one can be taken from it without touching a device. */
  manifest_keys: z.array(z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), kid: z.string(), x: z.string() })).optional(),
});
export type Root = z.infer<typeof Root>;

export interface SignedRoot {
  payload: string;
  signatures: { protected: string; signature: string }[];
}

const Statement = z.object({
  hardware_type: z.string(),
  version: z.string(),
  size_bytes: z.int(),
  sha256: z.string(),
  author_version: z.int().min(1),
  iat: z.int(),
  exp: z.int().optional(),
});
type Statement = z.infer<typeof Statement>;

/** A file, as authors have signed it. */
export interface SignedFile {
  hardware_type: string;
  version: string;
  size_bytes: number;
  sha256: string;
  author_signatures: readonly string[];
}

/** By hardware type and owner: the highest `author_version` whose firmware has run. The device keeps it in memory that no update writes. */
export type AuthorVersions = ReadonlyMap<string, ReadonlyMap<string, number>>;

/**
 * Goes from a device's root through the ones that it has fetched, and answers the last one. Each has to be signed by enough root keys of the
 * one before and by enough of its own, and none may be left out. An expired root still leads to its successor, but with an expired root
 * nothing is installed ({@link verifyAuthors}).
 *
 * @throws {@link Refused}
 */
export async function followRoots(root: Root, documents: readonly SignedRoot[]): Promise<Root> {
  let current = root;
  for (const document of documents) {
    const next = Root.safeParse(parse(document.payload));
    if (!next.success) throw new Refused('the author root is not well-formed');
    if (next.data.version !== current.version + 1)
      throw new Refused(`author root ${current.version} is not followed by ${next.data.version}`);
    for (const signers of [current, next.data]) {
      if ((await countSignatures(document, signers.root_keys)) < signers.root_threshold) {
        throw new Refused(`author root ${next.data.version} is not signed by enough keys of root ${signers.version}`);
      }
    }
    current = next.data;
  }
  return current;
}

/** The part of a root's life after which its successor is late. */
const lateAfter = 3 / 4;
const secondsPerDay = 86_400;

/**
 * What a device tells its owner, by a way in which the service has no hand: a screen, a lamp, a log of its own. Undefined while all is well.
 *
 * Somebody who controls the service can hold back new firmware and new roots, and a device cannot tell this from a time in which nobody made
 * anything. But the people who keep the root keys sign a new root before the old one expires; when none comes, something is wrong.
 */
export function findFreeze({ version, iat, exp }: Root, now: Date): string | undefined {
  const seconds = now.getTime() / 1_000;
  if (seconds >= exp) return `author root ${version} has expired: the service may be frozen`;
  if (seconds < iat + (exp - iat) * lateAfter) return undefined;
  const days = Math.ceil((exp - seconds) / secondsPerDay);
  return `no author root has followed ${version}, which expires in ${days} ${days === 1 ? 'day' : 'days'}: the service may be frozen`;
}

/**
 * Checks that enough different authors have signed that a file is this version. An author's signature does not count if a firmware with a
 * higher number of that author has run. Returns the numbers to remember once the firmware runs: of each author the highest, also of authors
 * who have not signed this file.
 *
 * @throws {@link Refused}
 */
export async function verifyAuthors(
  file: SignedFile,
  { root, ran, now }: { root: Root; ran: AuthorVersions; now: Date },
): Promise<ReadonlyMap<string, number>> {
  const seconds = now.getTime() / 1_000;
  if (root.exp <= seconds) throw new Refused(`author root ${root.version} has expired: the service may be frozen; tell the owner`);
  const required = root.signatures_required[file.hardware_type] ?? 1;
  const known = ran.get(file.hardware_type) ?? new Map<string, number>();
  const signed = new Map<string, number>();
  const refusals: string[] = [];
  for (const { owner, keys, hardware_types } of root.authors) {
    if (!hardware_types.includes(file.hardware_type)) continue;
    const statements = await statementsOf(file, keys);
    const numbers = statements.filter(({ type }) => type === 'firmware-release+jwt').map(({ author_version }) => author_version);
    if (numbers.length === 0) continue;
    const number = Math.max(...numbers);
    const mayGoBack = statements.some(({ type, exp = 0 }) => type === 'firmware-downgrade+jwt' && exp > seconds);
    const highest = known.get(owner) ?? 0;
    // A permitted downgrade permits nothing in between: what has run stays the highest.
    if (number >= highest || mayGoBack) signed.set(owner, Math.max(number, highest));
    else refusals.push(`${owner} signed number ${number}, and ${highest} has run`);
  }
  if (signed.size >= required) return new Map([...known, ...signed]);
  const why = refusals.length > 0 ? `: ${refusals.join('; ')}` : '';
  throw new Refused(
    `${required} ${required === 1 ? 'author has' : 'authors have'} to sign ${file.hardware_type} ${file.version}; ${signed.size} did${why}`,
  );
}

/** The statements of these keys about exactly this file. Wrong signatures, and statements about other files, are ignored. */
async function statementsOf(file: SignedFile, keys: readonly JWK[]): Promise<(Statement & { type: string | undefined })[]> {
  const found: (Statement & { type: string | undefined })[] = [];
  for (const key of keys) {
    const algorithm = algorithmOf(key);
    const imported = await importJWK(key, algorithm);
    const kid = await calculateJwkThumbprint(key);
    for (const jws of file.author_signatures.filter((each) => kidOf(each) === kid)) {
      try {
        const { payload, protectedHeader } = await compactVerify(jws, imported, { algorithms: [algorithm] });
        const statement = Statement.parse(JSON.parse(Buffer.from(payload).toString('utf8')));
        const isAboutFile = (['hardware_type', 'version', 'size_bytes', 'sha256'] as const).every(
          (field) => statement[field] === file[field],
        );
        if (isAboutFile) found.push({ ...statement, type: protectedHeader.typ });
      } catch {
        // Somebody else has signed it in this key's name.
      }
    }
  }
  return found;
}

async function countSignatures({ payload, signatures }: SignedRoot, keys: readonly JWK[]): Promise<number> {
  const signers = new Set<string>();
  for (const key of keys) {
    const algorithm = algorithmOf(key);
    const imported = await importJWK(key, algorithm);
    const kid = await calculateJwkThumbprint(key);
    for (const signature of signatures.filter((each) => kidOf(each) === kid)) {
      try {
        const { protectedHeader } = await flattenedVerify({ payload, ...signature }, imported, { algorithms: [algorithm] });
        if (protectedHeader?.typ === 'author-root+json') signers.add(kid);
      } catch {
        // Somebody else has signed it in this key's name.
      }
    }
  }
  return signers.size;
}

/** The key that a signature names (its thumbprint, RFC 7638), so that a device checks no signature with a key that has not made it. */
const kidOf = (jws: string | { protected: string }): unknown => {
  try {
    return decodeProtectedHeader(jws).kid;
  } catch {
    return undefined;
  }
};

const algorithmOf = ({ kty }: JWK) => (kty === 'OKP' ? 'EdDSA' : 'ES256');

const parse = (payload: string): unknown => {
  try {
    return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
};

/** Files of a package that are no parts. The service has written them, so a device that believes authors only takes nothing from them. */
const descriptions = ['sw-description', 'sw-description.sig', 'TRAILER!!!'];

/**
 * The parts of a package, by hardware type, if the archive has exactly the files that its authors have signed. The device itself knows where
 * each part has to be written.
 *
 * @throws {@link Refused}
 */
export function openPackage(archive: Buffer, parts: readonly SignedFile[]): Map<string, Buffer> {
  const opened = new Map<string, Buffer>();
  for (const { name, bytes } of readArchive(archive)) {
    if (descriptions.includes(name)) continue;
    const part = parts.find(({ hardware_type }) => name === `${hardware_type}.bin`);
    if (!part || opened.has(part.hardware_type)) throw new Refused(`the package holds ${name}, which no author has signed`);
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (bytes.length !== part.size_bytes || digest !== part.sha256)
      throw new Refused(`${name} is not the file that its authors have signed`);
    opened.set(part.hardware_type, bytes);
  }
  const missing = parts.find(({ hardware_type }) => !opened.has(hardware_type));
  if (missing) throw new Refused(`the package lacks ${missing.hardware_type}.bin`);
  return opened;
}

const headerBytes = 110;
const padded = (length: number) => Math.ceil(length / 4) * 4;

/** The files of a cpio archive in its `newc` form (cpio(5)). */
function* readArchive(archive: Buffer): Generator<{ name: string; bytes: Buffer }> {
  let at = 0;
  while (at + headerBytes <= archive.length) {
    const header = archive.toString('latin1', at, at + headerBytes);
    if (!/^07070[12][0-9a-fA-F]{104}$/.test(header)) throw new Refused('the package is no archive');
    const size = Number.parseInt(header.slice(54, 62), 16);
    const nameLength = Number.parseInt(header.slice(94, 102), 16);
    const name = archive.toString('utf8', at + headerBytes, at + headerBytes + nameLength - 1);
    const begin = at + padded(headerBytes + nameLength);
    if (begin + size > archive.length) throw new Refused('the package was cut');
    yield { name, bytes: archive.subarray(begin, begin + size) };
    if (name === 'TRAILER!!!') return;
    at = begin + padded(size);
  }
  throw new Refused('the package was cut');
}
