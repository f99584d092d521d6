import { algorithmOf, keyIdOf, type SigningKey } from './signing-key.ts';

/** The file that a statement is about. */
export interface SignedFile {
  hardware_type: string;
  version: string;
  size_bytes: number;
  sha256: string;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWS in its compact form (RFC 7515). */
const toJws = async (type: string, payload: object, key: SigningKey): Promise<string> => {
  const { publicKey } = key;
  const input = `${encode({ alg: algorithmOf(publicKey), kid: keyIdOf(publicKey), typ: type })}.${encode(payload)}`;
  return `${input}.${(await key.sign(Buffer.from(input))).toString('base64url')}`;
};

const seconds = (date: Date): number => Math.floor(date.getTime() / 1_000);

/**
 * "These bytes are this version."
 *
 * @param author_version a number of the author's own for the hardware type that only grows. Default: the seconds since 1970, so that nobody has to
 *   remember the last one.
 */
export const signRelease = (file: SignedFile, key: SigningKey, now: Date, author_version: number = seconds(now)): Promise<string> =>
  toJws('firmware-release+jwt', { ...file, author_version, iat: seconds(now) }, key);

/** "Until then devices may go back to this version." Beside a release of the same key. */
export const signDowngrade = (
  file: SignedFile,
  key: SigningKey,
  now: Date,
  { until, author_version }: { until: Date; author_version: number },
) => toJws('firmware-downgrade+jwt', { ...file, author_version, iat: seconds(now), exp: seconds(until) }, key);

export interface SignedRoot {
  payload: string;
  signatures: { protected: string; signature: string }[];
}

/** A root that nobody has signed yet. */
export const toRoot = (claims: object): SignedRoot => ({ payload: encode(claims), signatures: [] });

/** Adds the signature of a root key (RFC 7515, section 7.2.1). The same key again changes nothing. */
export const signRoot = async (root: SignedRoot, key: SigningKey): Promise<SignedRoot> => {
  const header = encode({ alg: algorithmOf(key.publicKey), kid: keyIdOf(key.publicKey), typ: 'author-root+json' });
  const others = root.signatures.filter((signature) => signature.protected !== header);
  const signature = (await key.sign(Buffer.from(`${header}.${root.payload}`))).toString('base64url');
  return { ...root, signatures: [...others, { protected: header, signature }] };
};
