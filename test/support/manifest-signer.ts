import type { Clock } from '../../lib/clock.ts';
import { createManifestSigner, parseManifestKeys, type SignManifest, toPublicKeys } from '../../lib/firmware/manifest.ts';
import { createManifestKeys } from '../../ops/signing-keys.ts';

/** Of this test file. */
export const manifestKeys = parseManifestKeys(createManifestKeys().MANIFEST_SIGNING_KEYS);
export const manifestKeySet = { keys: toPublicKeys(manifestKeys, '').keys };

export const manifestSigner = (now: Clock): SignManifest => createManifestSigner(async () => manifestKeys, now);

/** What a manifest says, without a look at its signature. */
export const manifestClaimsOf = (manifest: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(manifest.split('.')[1] ?? '', 'base64url').toString());
