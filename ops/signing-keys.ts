// `npm run signing-keys`: makes new keys for signing manifests and packages. `npm start` makes its own and keeps them in .local/.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import forge from 'node-forge';
import { type PublicKeys, parseManifestKeys, toPublicKeys } from '../lib/firmware/manifest.ts';
import { readPrivateJson, writePrivateFile } from './private-file.ts';

/** Named like the functions' settings. Everything except the certificates is secret. */
export type SigningKeys = ReturnType<typeof createManifestKeys> & ReturnType<typeof createPackageKeys>;

const YEARS = 20;

export function createManifestKeys() {
  const key = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return { MANIFEST_SIGNING_KEYS: JSON.stringify({ keys: [{ ...key, kid: randomBytes(8).toString('hex') }] }) };
}

/** @param random for the number of the certificate */
export function createPackageKeys(random: (bytes: number) => Buffer = randomBytes) {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { PACKAGE_SIGNING_KEY: key, PACKAGE_CERTIFICATES: createCertificate(key, 'scooters-updater packages', random(16)) };
}

export const createSigningKeys = (): SigningKeys => ({ ...createManifestKeys(), ...createPackageKeys() });

/** With a file the keys are kept there, so that devices of the last run still accept packages. */
export function keepSigningKeys(file: string | undefined): SigningKeys {
  const kept = file === undefined ? undefined : readPrivateJson<SigningKeys>(file);
  const keys = kept ?? createSigningKeys();
  if (file !== undefined && !kept) writePrivateFile(file, JSON.stringify(keys));
  return keys;
}

/** The public keys, which are put into devices when they are made. */
export const publicKeysOf = ({ MANIFEST_SIGNING_KEYS, PACKAGE_CERTIFICATES }: SigningKeys): PublicKeys =>
  toPublicKeys(parseManifestKeys(MANIFEST_SIGNING_KEYS), PACKAGE_CERTIFICATES);

/** Signed by itself, with the extended key usage that SWUpdate asks for. A device's clock may be wrong, so it begins early. */
function createCertificate(privateKey: string, commonName: string, number: Buffer): string {
  const key = forge.pki.privateKeyFromPem(privateKey);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(key.n, key.e);
  // Positive and without zeros in front, which DER forbids and random bytes may have.
  certificate.serialNumber = `01${number.toString('hex')}`;
  certificate.validity.notBefore = new Date('2020-01-01T00:00:00Z');
  certificate.validity.notAfter = new Date(Date.UTC(new Date().getUTCFullYear() + YEARS, 0, 1));
  const name = [{ name: 'commonName', value: commonName }];
  certificate.setSubject(name);
  certificate.setIssuer(name);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, critical: true },
    { name: 'extKeyUsage', emailProtection: true },
  ]);
  certificate.sign(key, forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate).replaceAll('\r', '');
}

if (import.meta.main) {
  const { PACKAGE_CERTIFICATES, ...secrets } = createSigningKeys();
  for (const [name, value] of Object.entries(secrets)) console.log(`A secret for ${name}:\n${JSON.stringify({ [name]: value })}\n`);
  console.log(`PACKAGE_CERTIFICATES, not secret:\n${PACKAGE_CERTIFICATES}`);
}
