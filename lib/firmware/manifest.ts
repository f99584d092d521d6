import { X509Certificate } from 'node:crypto';
import { CompactSign, type CryptoKey, importJWK } from 'jose';
import * as z from 'zod/mini';
import { type AuthorSignature, SignedPart } from '../authors/signature.ts';
import { addSeconds, type Clock } from '../clock.ts';
import { createSecret, readSigningSecret } from '../secret.ts';
import { FirmwareRequirement, HardwareTypeName, Sha256, Timestamp } from './firmware.ts';
import { FirmwareVersion } from './version.ts';

/** What a manifest says about a firmware, and when it may be installed. README.md of this folder says what devices do with it. */
export const ManifestClaims = z.object({
  hardware_type: HardwareTypeName,
  version: FirmwareVersion,
  version_num: z.int().check(z.minimum(1)),
  size_bytes: z.int().check(z.minimum(1)),
  sha256: Sha256,
  requires: z.array(FirmwareRequirement),
  minimum_from_version_num: z.nullable(z.int()),
  allow_downgrade: z.boolean().check(z.meta({ description: 'Whether a device that runs a higher version_num may go back to this one' })),
  counter: z
    .int()
    .check(
      z.minimum(1),
      z.meta({ description: 'Only grows: a device takes none that is lower than one it has taken for this hardware type' }),
    ),
  author_signatures: z
    .array(z.string())
    .check(z.meta({ description: 'What the people who made the firmware have signed about it, each a JWS in its compact form' })),
  parts: z
    .array(SignedPart)
    .check(z.meta({ description: 'Of a package that the service has made: its parts, and what their authors signed' })),
  iat: z.int().check(z.meta({ description: 'When it was issued, seconds since 1970' })),
  exp: z.int().check(z.meta({ description: 'When it expires, seconds since 1970' })),
});
export type ManifestClaims = z.infer<typeof ManifestClaims>;
export type ManifestFacts = Omit<ManifestClaims, 'iat' | 'exp'>;

/** Of a firmware that is available, as it is stored. */
export interface ManifestFirmware extends Omit<ManifestFacts, 'author_signatures' | 'parts' | 'allow_downgrade' | 'counter' | 'requires'> {
  requires: readonly FirmwareRequirement[];
  author_signatures: readonly AuthorSignature[];
  signed_parts: readonly SignedPart[];
}

/** The facts of a manifest for one decision: a firmware became available, or an update wants it. */
export const toManifestFacts = (firmware: ManifestFirmware, decision: { allow_downgrade: boolean; counter: number }): ManifestFacts => ({
  hardware_type: firmware.hardware_type,
  version: firmware.version,
  version_num: firmware.version_num,
  size_bytes: firmware.size_bytes,
  sha256: firmware.sha256,
  requires: [...firmware.requires],
  minimum_from_version_num: firmware.minimum_from_version_num,
  allow_downgrade: decision.allow_downgrade,
  counter: decision.counter,
  author_signatures: firmware.author_signatures.map(({ jws }) => jws),
  parts: [...firmware.signed_parts],
});

export const SignedManifest = z
  .object({
    manifest: z.string().check(z.meta({ description: 'JWS in its compact form (RFC 7515), EdDSA, typ firmware-manifest+jwt' })),
    expires_dt: Timestamp,
  })
  .register(z.globalRegistry, { id: 'SignedManifest' });
export type SignedManifest = z.infer<typeof SignedManifest>;

/** Signs locally, in about 50 µs; no other service is asked. */
export type SignManifest = (facts: ManifestFacts) => Promise<SignedManifest>;

/** Tells a manifest from any other JWS that the same key might ever sign (RFC 8725 section 3.11). */
export const manifestType = 'firmware-manifest+jwt';
/** Longer than a device is out of reach between a command and its installation. A stolen manifest can be used for so long, too. */
const validSeconds = 7 * 24 * 3_600;

const Jwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  kid: z.string().check(z.minLength(1)),
  x: z.string().check(z.minLength(1)),
});
const PrivateJwk = z.extend(Jwk, { d: z.string().check(z.minLength(1)) });

const KeySet = z.object({ keys: z.tuple([PrivateJwk], Jwk) });
export type ManifestKeys = z.output<typeof KeySet>;

/**
 * Reads a JWK set (RFC 7517). The first key signs, so it has to be private. The others are former or coming keys; their public halves suffice.
 *
 * @throws an error that prints no key.
 */
export const parseManifestKeys = (text: string): ManifestKeys => {
  try {
    return KeySet.parse(JSON.parse(text));
  } catch {
    throw new Error('MANIFEST_SIGNING_KEYS is no JWK set of Ed25519 keys with a kid, the first of them private');
  }
};

/**
 * @param setting the JWK set, or the ARN of the secret that has it (lib/secret.ts).
 * @returns a function that reads the keys, once. It throws `signing.unavailable` while they cannot be read.
 */
export const createManifestKeys = (setting: string): (() => Promise<ManifestKeys>) => {
  const secret = createSecret(setting, { field: 'MANIFEST_SIGNING_KEYS' });
  let keys: ManifestKeys | undefined;
  return async () => {
    keys ??= parseManifestKeys(await readSigningSecret(secret));
    return keys;
  };
};

export const createManifestSigner = (readKeys: () => Promise<ManifestKeys>, now: Clock): SignManifest => {
  let key: CryptoKey | Uint8Array | undefined;
  return async (facts) => {
    const {
      keys: [current],
    } = await readKeys();
    key ??= await importJWK(current, 'EdDSA');
    const issued = now();
    const expires_dt = addSeconds(issued, validSeconds);
    const claims: ManifestClaims = { ...facts, iat: toSeconds(issued), exp: toSeconds(expires_dt) };
    const manifest = await new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: 'EdDSA', kid: current.kid, typ: manifestType })
      .sign(key);
    return { manifest, expires_dt: new Date(claims.exp * 1_000) };
  };
};

const toSeconds = (date: Date): number => Math.floor(date.getTime() / 1_000);

export const PublicKeys = z
  .object({
    keys: z
      .array(z.looseObject({ kty: z.string(), crv: z.string(), kid: z.string(), x: z.string(), alg: z.string(), use: z.string() }))
      .check(
        z.meta({ description: 'What manifests are signed with, a JWK set (RFC 7517): the present key first, then former and coming ones' }),
      ),
    package_certificates: z
      .array(z.string())
      .check(z.meta({ description: 'What packages are signed with, PEM, for `swupdate -k`: the present one first' })),
  })
  .register(z.globalRegistry, { id: 'PublicKeys' });
export type PublicKeys = z.infer<typeof PublicKeys>;

/** @param certificates PEM, one after the other. */
export const toPublicKeys = ({ keys }: ManifestKeys, certificates: string): PublicKeys => ({
  keys: keys.map(({ kty, crv, kid, x }) => ({ kty, crv, kid, x, alg: 'EdDSA', use: 'sig' })),
  package_certificates: splitCertificates(certificates),
});

const splitCertificates = (pem: string): string[] =>
  [...pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(([text]) => new X509Certificate(text).toString());
