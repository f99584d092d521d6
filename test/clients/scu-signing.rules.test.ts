import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calculateJwkThumbprint } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../clients/cli/src/exit-codes.ts';
import { keyIdOf, readPublicKey, readSigningKey } from '../../clients/cli/src/signing/signing-key.ts';
import { signDowngrade, signRelease } from '../../clients/cli/src/signing/statement.ts';
import type { AuthorPublicKey } from '../../lib/authors/author-key.ts';
import { verifyStatement } from '../../lib/authors/statement.ts';

const folder = await mkdtemp(join(tmpdir(), 'scu-signing-'));
afterAll(() => rm(folder, { recursive: true }));
const fileWith = async (name: string, text: string) => {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
};

const ed25519 = generateKeyPairSync('ed25519');
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const file = { hardware_type: 'vega_mcu', version: '1.5.0', size_bytes: 14, sha256: 'a'.repeat(64) };
const now = new Date('2026-11-26T08:00:00Z');

describe('a key', () => {
  it.each([
    ['Ed25519, PEM', pem(ed25519.privateKey)],
    ['Ed25519, JWK', JSON.stringify(ed25519.privateKey.export({ format: 'jwk' }))],
    ['P-256, PEM', pem(p256.privateKey)],
    ['P-256, JWK', JSON.stringify(p256.privateKey.export({ format: 'jwk' }))],
  ])('from a file: %s. The service believes what it signs', async (name, text) => {
    const key = await readSigningKey(await fileWith(name.replaceAll(/\W/g, '-'), text));
    expect(keyIdOf(key.publicKey)).toBe(await calculateJwkThumbprint({ ...key.publicKey }));
    const public_key = key.publicKey as AuthorPublicKey;
    expect(await verifyStatement(await signRelease(file, key, now), public_key, file)).toEqual({
      ...{ kind: 'release', kid: keyIdOf(key.publicKey) },
      author_version: 1_795_680_000,
    });
    const downgrade = await signDowngrade(file, key, now, { until: new Date('2026-12-01T00:00:00Z'), author_version: 5 });
    expect(await verifyStatement(downgrade, public_key, file)).toMatchObject({ kind: 'downgrade', author_version: 5 });
  });

  it('that is encrypted is opened by SCU_KEY_PASSPHRASE', async () => {
    const encrypted = ed25519.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }).toString();
    const path = await fileWith('encrypted.pem', encrypted);
    await expect(readSigningKey(path)).rejects.toThrow(/is encrypted: set SCU_KEY_PASSPHRASE/);
    process.env['SCU_KEY_PASSPHRASE'] = 'secret';
    try {
      await expect(readSigningKey(path)).resolves.toBeDefined();
    } finally {
      delete process.env['SCU_KEY_PASSPHRASE'];
    }
  });

  it.each([
    ['raw, as JWS wants it', p256, `{ key, dsaEncoding: 'ieee-p1363' }`, ''],
    ['in ASN.1, as OpenSSL writes it', p256, 'key', ''],
    ['in base64, as key services answer it', p256, 'key', `.toString('base64')`],
    ['of Ed25519', ed25519, 'key', ''],
  ])('that stays where it is: a command signs, %s', async (name, { privateKey, publicKey }, how, encoding) => {
    const id = name.replaceAll(/\W/g, '-');
    const hash = privateKey.asymmetricKeyType === 'ed25519' ? 'null' : "'sha256'";
    const script = await fileWith(
      `${id}.mjs`,
      `import { createPrivateKey, sign } from 'node:crypto';
       import { buffer } from 'node:stream/consumers';
       const key = createPrivateKey(${JSON.stringify(pem(privateKey))});
       process.stdout.write(sign(${hash}, await buffer(process.stdin), ${how})${encoding});`,
    );
    const publicFile = await fileWith(`${id}.pub`, publicKey.export({ type: 'spki', format: 'pem' }).toString());
    const key = await readSigningKey(`exec:"${process.execPath}" "${script}"`, publicFile);
    // An integer of ASN.1 is now and then a byte longer or shorter.
    for (let n = 1; n <= 5; n += 1) {
      const statement = verifyStatement(await signRelease(file, key, now, n), key.publicKey as AuthorPublicKey, file);
      await expect(statement).resolves.toMatchObject({ author_version: n });
    }
  });

  it('is refused with a sentence that quotes nothing of it: when it is no key, of another kind, or its command fails', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await expect(readSigningKey(await fileWith('rsa.pem', pem(rsa.privateKey)))).rejects.toThrow(/a key is Ed25519 or P-256/);
    const broken = pem(ed25519.privateKey).replace('MC4CAQ', 'XXXXXX');
    const refusal = await readSigningKey(await fileWith('broken.pem', broken)).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(UsageError);
    expect(String(refusal)).not.toContain(broken.split('\n')[1]);
    await expect(readSigningKey('exec:true')).rejects.toThrow(/name its public half by --public-key/);
    const publicFile = await fileWith('a.pub', ed25519.publicKey.export({ type: 'spki', format: 'pem' }).toString());
    await expect((await readSigningKey('exec:exit 3', publicFile)).sign(Buffer.from('x'))).rejects.toThrow(/exit code 3/);
    await expect((await readSigningKey('exec:echo no', publicFile)).sign(Buffer.from('x'))).rejects.toThrow(/no signature/);
  });

  it('of a private one only the public half is read, where that is wanted', async () => {
    expect(await readPublicKey(await fileWith('private.pem', pem(ed25519.privateKey)))).toEqual(
      ed25519.publicKey.export({ format: 'jwk' }),
    );
  });
});
