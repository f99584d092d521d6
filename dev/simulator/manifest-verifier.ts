// What a device does with a manifest: the reference for people who write device software (lib/firmware/README.md). Uses no code of the service.
import { createHash } from 'node:crypto';
import { compactVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { z } from 'zod';
import { type AuthorVersions, type Root, type SignedFile, verifyAuthors } from './author-verifier.ts';
import { Refused } from './refused.ts';

export { Refused } from './refused.ts';

const Claims = z.object({
  hardware_type: z.string(),
  version: z.string(),
  version_num: z.int().min(1),
  size_bytes: z.int().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  requires: z.array(z.object({ hardware_type: z.string(), minimum_version_num: z.int() })),
  minimum_from_version_num: z.int().nullable(),
  allow_downgrade: z.boolean(),
  counter: z.int().min(1),
  author_signatures: z.array(z.string()),
  parts: z.array(
    z.object({
      hardware_type: z.string(),
      version: z.string(),
      size_bytes: z.int(),
      sha256: z.string(),
      author_signatures: z.array(z.string()),
    }),
  ),
  iat: z.int(),
  exp: z.int(),
});
export type Manifest = z.infer<typeof Claims>;

/** What a device has to remember for each of its hardware types. It needs memory that survives a restart and that no update overwrites. */
export interface Accepted {
  /** Of the firmware that runs; null: not known. */
  version_num: number | null;
  /** The highest one that was ever taken; null: none. */
  counter: number | null;
  /** Of the manifest with this counter. */
  sha256: string | null;
  /** By owner: the highest number of the author's releases that have run. */
  author_versions?: ReadonlyMap<string, number>;
}

export interface Verification {
  /** Put into the device when it was made. */
  keys: JSONWebKeySet;
  hardware_type: string;
  /** Of every hardware type of the device. */
  accepted: ReadonlyMap<string, Accepted>;
  now: Date;
  /** Which authors the device believes; without it the service's word is enough. */
  root?: Root | undefined;
}

/** How wrong a device's clock may be. */
const clockToleranceSeconds = 300;
const type = 'firmware-manifest+jwt';
const none: Accepted = { version_num: null, counter: null, sha256: null };

/**
 * What may be installed, or a refusal. The order matters: nothing is believed before the signature is checked.
 *
 * @throws {@link Refused}
 */
export async function verifyManifest(jws: string, { keys, hardware_type, accepted, now, root }: Verification): Promise<Manifest> {
  const manifest = await readSigned(jws, serviceKeysOf(root, keys));
  const seconds = now.getTime() / 1_000;
  if (manifest.exp + clockToleranceSeconds <= seconds) throw new Refused('the manifest has expired');
  if (manifest.iat - clockToleranceSeconds > seconds) throw new Refused('the manifest is of the future');
  if (manifest.hardware_type !== hardware_type) {
    throw new Refused(`the manifest is for ${manifest.hardware_type}, not for ${hardware_type}`);
  }
  // A service decides less than once a second. Without this bound, somebody who has its key for a moment could use the highest number there is,
  // and no later manifest would ever be newer.
  if (manifest.counter > manifest.iat) throw new Refused('the counter is higher than any service can have counted');
  const known = accepted.get(hardware_type) ?? none;
  if (known.counter !== null && manifest.counter < known.counter) throw new Refused('the manifest is older than one that was taken before');
  if (known.counter === manifest.counter && known.sha256 !== manifest.sha256) throw new Refused('two manifests have one counter');
  if (known.version_num !== null && manifest.version_num < known.version_num && !manifest.allow_downgrade) {
    throw new Refused(`version_num ${manifest.version_num} is lower than ${known.version_num}, which runs`);
  }
  const from = manifest.minimum_from_version_num;
  if (isLower(known, from)) throw new Refused(`version_num ${from} or higher has to run before`);
  for (const { hardware_type: other, minimum_version_num } of manifest.requires) {
    if (isLower(accepted.get(other) ?? none, minimum_version_num)) {
      throw new Refused(`${other} has to run version_num ${minimum_version_num} or higher`);
    }
  }
  if (root) await verifySigned(manifest, { root, accepted, now });
  return manifest;
}

/** What authors have signed of a manifest's file. */
export interface SignedContent {
  /** By hardware type, what is to be remembered of the authors once it runs. */
  authors: AuthorVersions;
  /** The parts that the device may take out of a package; undefined: the whole file is signed. */
  parts: readonly SignedFile[] | undefined;
}

/**
 * What authors have signed: the file itself or, of a package that the service has made, each of its parts.
 *
 * @throws {@link Refused}
 */
export async function verifySigned(manifest: Manifest, trust: AuthorTrust): Promise<SignedContent> {
  try {
    return { authors: await verifyFiles([manifest], trust), parts: undefined };
  } catch (error) {
    const { parts } = manifest;
    if (parts.length === 0 || !(error instanceof Refused)) throw error;
    return { authors: await verifyFiles(parts, trust), parts };
  }
}

/** Whom a device believes, and what it has run. */
interface AuthorTrust extends Pick<Verification, 'accepted' | 'now'> {
  root: Root;
}

async function verifyFiles(files: readonly SignedFile[], { root, accepted, now }: AuthorTrust): Promise<AuthorVersions> {
  const ran = new Map([...accepted].map(([type, { author_versions }]) => [type, author_versions ?? new Map<string, number>()]));
  const versions = new Map<string, ReadonlyMap<string, number>>();
  for (const file of files) versions.set(file.hardware_type, await verifyAuthors(file, { root, ran, now }));
  return versions;
}

/** Which keys of the service a device believes: those of its root or, if that names none, those that it was made with. */
export const serviceKeysOf = (root: Root | undefined, madeWith: JSONWebKeySet): JSONWebKeySet =>
  root?.manifest_keys ? { keys: root.manifest_keys } : madeWith;

/** A device that does not know its own version_num, such as a new one, cannot refuse by it. The updater has checked this rule, too. */
const isLower = ({ version_num }: Accepted, minimum: number | null) => version_num !== null && minimum !== null && version_num < minimum;

async function readSigned(jws: string, keys: JSONWebKeySet): Promise<Manifest> {
  try {
    // Only one algorithm, and only keys that the device has: the header can choose one of these, but no other.
    const { payload, protectedHeader } = await compactVerify(jws, createLocalJWKSet(keys), { algorithms: ['EdDSA'] });
    if (protectedHeader.typ !== type) throw new Error('it is another kind of document');
    return Claims.parse(JSON.parse(Buffer.from(payload).toString('utf8')));
  } catch (cause) {
    throw new Refused('the manifest is not one of the updater', { cause });
  }
}

/**
 * Checks, while bytes are received and before they are installed, that they are those of the manifest. Reads no more bytes than the manifest
 * says.
 *
 * @throws {@link Refused}
 */
export async function verifyFile(
  { size_bytes, sha256 }: Pick<Manifest, 'size_bytes' | 'sha256'>,
  bytes: AsyncIterable<Uint8Array>,
): Promise<void> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.byteLength;
    if (size > size_bytes) throw new Refused(`size mismatch: expected ${size_bytes} bytes, got more`);
    hash.update(chunk);
  }
  if (size < size_bytes) throw new Refused(`size mismatch: expected ${size_bytes} bytes, got ${size}`);
  const digest = hash.digest('hex');
  if (digest !== sha256) throw new Refused(`sha256 mismatch: expected ${sha256}, got ${digest}`);
}

/** What a device remembers once the firmware of a manifest runs; `authors` as {@link verifySigned} returned them. */
export const accept = (
  { hardware_type, version_num, counter, sha256 }: Manifest,
  authors?: AuthorVersions,
  known?: Pick<Accepted, 'author_versions'>,
): Accepted => {
  const author_versions = authors?.get(hardware_type) ?? known?.author_versions;
  return { version_num, counter, sha256, ...(author_versions && { author_versions }) };
};

/** The same for the whole memory of a device, which a package of several parts concerns. */
export const remember = (memory: Map<string, Accepted>, manifest: Manifest, authors: AuthorVersions = new Map()): void => {
  for (const [type, author_versions] of authors) memory.set(type, { ...(memory.get(type) ?? none), author_versions });
  memory.set(manifest.hardware_type, accept(manifest, authors, memory.get(manifest.hardware_type)));
};
