import { X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import { createManifestKeys, createPackageKeys, publicKeysOf } from '../../ops/signing-keys.ts';

it.each([
  ['zeros', Buffer.alloc(16)],
  ['a zero first', Buffer.from('007f00000000000000000000000000ff', 'hex')],
  ['a first bit, which would make it negative', Buffer.alloc(16, 0xff)],
])('the certificate of packages can be read when the random bytes of its number are %s', (_, number) => {
  const keys = { ...createManifestKeys(), ...createPackageKeys(() => number) };
  expect(publicKeysOf(keys)).toBeDefined();
  expect(new X509Certificate(keys.PACKAGE_CERTIFICATES).serialNumber).toBe(`01${number.toString('hex').toUpperCase()}`);
});
