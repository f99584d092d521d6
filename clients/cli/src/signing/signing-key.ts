import { spawn } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject, sign } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { CommandError, UsageError } from '../exit-codes.ts';
import { readText } from '../input.ts';

/** The public half of a key, with no field that its kind does not need: what is sent, and what its thumbprint is made of. */
export interface PublicKey {
  kty: 'OKP' | 'EC';
  crv: 'Ed25519' | 'P-256';
  x: string;
  y?: string;
}

export interface SigningKey {
  publicKey: PublicKey;
  sign(data: Buffer): Promise<Buffer>;
}

export const keyHelp =
  'a file with a private key (PEM or JWK, Ed25519 or P-256), - for standard input, or exec:COMMAND, which gets on standard input what is to be ' +
  'signed and prints the signature: for PKCS #11 and KMS. SCU_KEY_PASSPHRASE opens an encrypted PEM';

/** How a key of these kinds is called by those who check: its thumbprint (RFC 7638), fields in the order of the alphabet. */
export const keyIdOf = ({ kty, crv, x, y }: PublicKey): string =>
  createHash('sha256')
    .update(JSON.stringify(y === undefined ? { crv, kty, x } : { crv, kty, x, y }))
    .digest('base64url');

export const algorithmOf = ({ kty }: PublicKey): 'EdDSA' | 'ES256' => (kty === 'OKP' ? 'EdDSA' : 'ES256');

/**
 * @param reference as {@link keyHelp} says.
 * @param publicKeyFile of a command: the public half of the key that it signs with.
 */
export const readSigningKey = async (reference: string, publicKeyFile?: string): Promise<SigningKey> => {
  if (!reference.startsWith('exec:')) {
    const key = toPrivateKey(await readText(reference), reference);
    return { publicKey: toPublicKey(createPublicKey(key), reference), sign: async (data) => signWith(key, data) };
  }
  if (publicKeyFile === undefined)
    throw new UsageError('exec: signs with a key that stays where it is: name its public half by --public-key FILE');
  const publicKey = await readPublicKey(publicKeyFile);
  return { publicKey, sign: async (data) => toRawSignature(await run(reference.slice('exec:'.length), data), publicKey) };
};

/** A public key, or the public half of a private one. */
export const readPublicKey = async (file: string): Promise<PublicKey> => {
  const text = await readText(file);
  try {
    return toPublicKey(
      createPublicKey(text.trimStart().startsWith('{') ? { key: JSON.parse(text) as JsonWebKey, format: 'jwk' } : text),
      file,
    );
  } catch (cause) {
    throw cause instanceof UsageError ? cause : new UsageError(`${file} is no public key in PEM or JWK`);
  }
};

const toPrivateKey = (text: string, name: string): KeyObject => {
  const passphrase = process.env['SCU_KEY_PASSPHRASE'];
  try {
    if (text.trimStart().startsWith('{')) return createPrivateKey({ key: JSON.parse(text) as JsonWebKey, format: 'jwk' });
    return createPrivateKey(passphrase === undefined ? text : { key: text, passphrase });
  } catch {
    // The message of the cause may hold a piece of the key.
    const isEncrypted = /ENCRYPTED/.test(text) && passphrase === undefined;
    throw new UsageError(`${name} ${isEncrypted ? 'is encrypted: set SCU_KEY_PASSPHRASE' : 'is no private key in PEM or JWK'}`);
  }
};

const toPublicKey = (key: KeyObject, name: string): PublicKey => {
  const { kty, crv, x, y } = key.export({ format: 'jwk' });
  if (kty === 'OKP' && crv === 'Ed25519' && x) return { kty, crv, x };
  if (kty === 'EC' && crv === 'P-256' && x && y) return { kty, crv, x, y };
  throw new UsageError(`${name}: a key is Ed25519 or P-256, this one is ${crv ?? kty}`);
};

const signWith = (key: KeyObject, data: Buffer): Buffer =>
  key.asymmetricKeyType === 'ed25519' ? sign(null, data, key) : sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' });

const signatureBytes = 64;

const run = async (command: string, data: Buffer): Promise<Buffer> => {
  const child = spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {}); // it may end without reading
  child.stdin.end(data);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const printed = await buffer(child.stdout);
  const code = await ended;
  if (code !== 0) throw new CommandError(`The command that signs has ended with exit code ${code}`);
  return printed;
};

/** Signatures come raw or, of P-256, in ASN.1 as OpenSSL and KMS write them; also in base64. */
const toRawSignature = (printed: Buffer, { kty }: PublicKey): Buffer => {
  const text = printed.toString('latin1').trim();
  const bytes = /^[\w+/=-]{80,}$/.test(text) ? Buffer.from(text, 'base64') : printed;
  if (bytes.length === signatureBytes) return bytes;
  if (kty === 'EC' && bytes[0] === 0x30) return fromAsn1(bytes);
  throw new CommandError(`The command that signs has printed ${bytes.length} bytes: no signature`);
};

/** SEQUENCE of two INTEGERs (RFC 3279, section 2.2.3), each made 32 bytes long. */
const fromAsn1 = (bytes: Buffer): Buffer => {
  const integers: Buffer[] = [];
  let at = 2;
  while (integers.length < 2) {
    const length = bytes[at + 1] ?? 0;
    integers.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return Buffer.concat(integers.map((integer) => Buffer.concat([Buffer.alloc(32), integer]).subarray(-32)));
};
