import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { PublicKey, SigningKey } from '../../clients/cli/src/signing/signing-key.ts';
import { type SignedFile, type SignedRoot, signRelease, signRoot, toRoot } from '../../clients/cli/src/signing/statement.ts';

/** A fresh key as `scu firmware sign` reads one from a file. */
export const createAuthorKey = (kind: 'ed25519' | 'p256' = 'ed25519'): SigningKey => {
  const { privateKey, publicKey } =
    kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    publicKey: publicKey.export({ format: 'jwk' }) as unknown as PublicKey,
    sign: async (data) =>
      kind === 'ed25519' ? sign(null, data, privateKey) : sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  };
};

export const fileOf = (hardware_type: string, version: string, bytes: Uint8Array): SignedFile => ({
  ...{ hardware_type, version, size_bytes: bytes.length },
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

export const release = (file: SignedFile, key: SigningKey, author_version = 1, now = new Date('2026-01-01T00:00:00Z')): Promise<string> =>
  signRelease(file, key, now, author_version);

/** What a root says, of these authors; fields may be changed. */
export const rootOf = (authors: Record<string, SigningKey>, rootKey: SigningKey, fields: object = {}) => ({
  version: 1,
  iat: 1_767_225_600,
  exp: 4_102_444_800,
  root_keys: [rootKey.publicKey],
  root_threshold: 1,
  authors: Object.entries(authors).map(([owner, { publicKey }]) => ({
    owner,
    keys: [publicKey],
    hardware_types: ['vega_mcu', 'vega_gsm', 'cabinet'],
  })),
  signatures_required: { vega_mcu: 2, vega_gsm: 2, cabinet: 2 },
  ...fields,
});

export const signedRoot = async (claims: object, ...keys: SigningKey[]): Promise<SignedRoot> => {
  let root = toRoot(claims);
  for (const key of keys) root = await signRoot(root, key);
  return root;
};
