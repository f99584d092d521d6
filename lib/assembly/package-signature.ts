import { createPrivateKey, X509Certificate } from 'node:crypto';
import forge from 'node-forge';
import { createSecret, readSigningSecret } from '../secret.ts';

export interface PackageKey {
  /** PEM, RSA; or the ARN of the secret that has it (lib/secret.ts). */
  signing_key: string;
  /** PEM. The first one belongs to the key; its extended key usage is emailProtection, which SWUpdate demands. */
  certificates: string;
}

/** Signs a `sw-description`: answers the bytes of `sw-description.sig`. The same text makes the same bytes. */
export type SignPackage = (text: string) => Promise<Buffer>;

/**
 * Signs as SWUpdate verifies: CMS (RFC 5652), detached, DER, RSA with SHA-256 (PKCS #1 v1.5, which unlike PSS uses no randomness), and
 * without the time of signing. Throws `signing.unavailable` while the key cannot be read, and another error when it does not fit.
 */
export const createPackageSigner = ({ signing_key, certificates }: PackageKey): SignPackage => {
  const secret = createSecret(signing_key, { field: 'PACKAGE_SIGNING_KEY' });
  const certificate = forge.pki.certificateFromPem(certificates);
  let key: forge.pki.rsa.PrivateKey | undefined;
  return async (text) => {
    key ??= toSigningKey(await readSigningSecret(secret), certificates);
    const message = forge.pkcs7.createSignedData();
    message.content = forge.util.createBuffer(Buffer.from(text).toString('binary'));
    message.addCertificate(certificate);
    message.addSigner({
      key,
      certificate,
      digestAlgorithm: forge.pki.oids['sha256'] as string,
      authenticatedAttributes: [
        { type: forge.pki.oids['contentType'] as string, value: forge.pki.oids['data'] as string },
        { type: forge.pki.oids['messageDigest'] as string },
      ],
    });
    message.sign({ detached: true });
    return Buffer.from(forge.asn1.toDer(message.toAsn1()).getBytes(), 'binary');
  };
};

const toSigningKey = (pem: string, certificates: string): forge.pki.rsa.PrivateKey => {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'rsa') throw new Error('The key that signs packages has to be an RSA key');
  if (!new X509Certificate(certificates).checkPrivateKey(key))
    throw new Error('The key that signs packages does not fit the first certificate');
  return forge.pki.privateKeyFromPem(key.export({ type: 'pkcs1', format: 'pem' }).toString());
};
