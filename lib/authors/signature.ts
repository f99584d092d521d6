import * as z from 'zod/mini';

/** A statement that has been verified, as it is kept with its firmware. */
export const AuthorSignature = z
  .object({
    kid: z.string(),
    owner: z.string(),
    kind: z.enum(['release', 'downgrade']),
    author_version: z.int(),
    jws: z.string(),
  })
  .register(z.globalRegistry, { id: 'AuthorSignature' });
export type AuthorSignature = z.infer<typeof AuthorSignature>;

/** How many different people signed the release. */
export const countOwners = (signatures: readonly AuthorSignature[]): number =>
  new Set(signatures.filter(({ kind }) => kind === 'release').map(({ owner }) => owner)).size;

/** A part of a package, with what its authors signed about it. */
export const SignedPart = z
  .object({
    hardware_type: z.string(),
    version: z.string(),
    size_bytes: z.int(),
    sha256: z.string(),
    author_signatures: z.array(z.string()),
  })
  .register(z.globalRegistry, { id: 'SignedPart' });
export type SignedPart = z.infer<typeof SignedPart>;
