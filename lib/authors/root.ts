import { calculateJwkThumbprint, flattenedVerify, importJWK } from 'jose';
import * as z from 'zod/mini';
import { HardwareTypeName, Timestamp } from '../firmware/firmware.ts';
import { AuthorPublicKey, algorithmOf, coordinate, Owner } from './author-key.ts';

export const rootType = 'author-root+json';

/**
 * A root says which author keys devices believe. A device is made with one root. Each later root is signed by enough root keys of the root
 * before it, and by enough of its own, so that keys can change without anybody touching a device. This is the idea of root metadata in The
 * Update Framework (TUF 1.0, 6.1).
 */
export const RootClaims = z.strictObject({
  version: z.int().check(z.minimum(1), z.maximum(2_147_483_647), z.meta({ description: 'One more than that of the root before' })),
  iat: z.int(),
  exp: z.int().check(z.meta({ description: 'Seconds since 1970. After it devices install nothing, and tell their owner' })),
  root_keys: z
    .array(AuthorPublicKey)
    .check(z.minLength(1), z.maxLength(10), z.meta({ description: 'Which keys may sign the next root; kept off line' })),
  root_threshold: z.int().check(z.minimum(1), z.maximum(10), z.meta({ description: 'How many of them have to' })),
  authors: z
    .array(
      z.strictObject({
        owner: Owner,
        keys: z.array(AuthorPublicKey).check(z.minLength(1), z.maxLength(10)),
        hardware_types: z.array(HardwareTypeName).check(z.minLength(1), z.maxLength(100)),
      }),
    )
    .check(z.maxLength(50)),
  signatures_required: z
    .record(HardwareTypeName, z.int().check(z.minimum(0), z.maximum(5)))
    .check(z.meta({ description: 'By hardware type: how many different owners have to sign. Not named: 1' })),
  manifest_keys: z
    .optional(
      z
        .array(z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), kid: z.string().check(z.minLength(1)), x: coordinate }))
        .check(z.minLength(1), z.maxLength(10)),
    )
    .check(z.meta({ description: 'Which keys of the service devices believe from now on. Without them: those that they were made with' })),
});
export type RootClaims = z.infer<typeof RootClaims>;

const base64url = z.string().check(z.maxLength(100_000), z.regex(/^[\w-]+$/, 'must be base64url'));

/** A JWS with several signatures (RFC 7515, section 7.2.1) over {@link RootClaims}. */
export const RootDocument = z
  .strictObject({
    payload: base64url,
    signatures: z.array(z.strictObject({ protected: base64url, signature: base64url })).check(z.minLength(1), z.maxLength(20)),
  })
  .register(z.globalRegistry, { id: 'AuthorRootDocument' });
export type RootDocument = z.infer<typeof RootDocument>;

export const AuthorRoot = z
  .object({ version: z.int(), document: RootDocument, created_by: z.string(), created_dt: Timestamp })
  .register(z.globalRegistry, { id: 'AuthorRoot' });
export type AuthorRoot = z.infer<typeof AuthorRoot>;

/** Reads a root without checking its signatures. Undefined when the payload is no root. */
export const readRoot = ({ payload }: RootDocument): RootClaims | undefined => {
  try {
    const parsed = z.safeParse(RootClaims, JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
};

/** How many of these keys have signed a root. Wrong signatures, and signatures of other keys, do not count. */
export const countRootSignatures = async ({ payload, signatures }: RootDocument, keys: readonly AuthorPublicKey[]): Promise<number> => {
  const signed = new Set<string>();
  for (const key of keys) {
    const algorithm = algorithmOf(key);
    const imported = await importJWK(key, algorithm);
    for (const signature of signatures) {
      try {
        const { protectedHeader } = await flattenedVerify({ payload, ...signature }, imported, { algorithms: [algorithm] });
        if (protectedHeader?.typ === rootType) signed.add(await calculateJwkThumbprint(key, 'sha256'));
      } catch {
        // Another key's signature, or a wrong one.
      }
    }
  }
  return signed.size;
};
