import { describe, expect, it } from 'vitest';
import { formatControllerId, parseControllerId } from '../../../lib/ddi/controller-id.ts';
import { createToken, hashToken, isTokenOf, parseCredentials } from '../../../lib/ddi/device-token.ts';

describe('a device token', () => {
  it('is recognised by its hash, and nothing else is', () => {
    const token = createToken();
    expect(isTokenOf(token, hashToken(token))).toBe(true);
    for (const other of ['', `${token} `, token.slice(1), token.toUpperCase(), createToken()]) {
      expect(isTokenOf(other, hashToken(token))).toBe(false);
    }
  });

  it('has 256 bits and is never the same', () => {
    const tokens = Array.from({ length: 1_000 }, createToken);
    expect(new Set(tokens).size).toBe(1_000);
    expect(Buffer.from(tokens[0] ?? '', 'base64url')).toHaveLength(32);
  });

  it('comes in one of two schemes, in whatever case', () => {
    expect(parseCredentials('TargetToken abc')).toEqual({ scheme: 'TargetToken', token: 'abc' });
    expect(parseCredentials('gatewaytoken  a.b~c')).toEqual({ scheme: 'GatewayToken', token: 'a.b~c' });
    for (const header of [
      undefined,
      '',
      'TargetToken',
      'TargetToken ',
      'Bearer abc',
      'TargetToken a b',
      `TargetToken ${'x'.repeat(600)}`,
    ]) {
      expect(parseCredentials(header)).toBeUndefined();
    }
  });
});

describe('a controller id', () => {
  it.each([
    ['cabinet.C-17', { kind: 'cabinet', external_id: 'C-17' }],
    ['scooter.S-204', { kind: 'scooter', external_id: 'S-204' }],
    ['scooter.a.b:c~d', { kind: 'scooter', external_id: 'a.b:c~d' }],
  ] as const)('%s names a device, and the device is named so', (text, device) => {
    expect(parseControllerId(text)).toEqual(device);
    expect(formatControllerId(device)).toBe(text);
  });

  it.each(['', '.', 'cabinet', 'cabinet.', '.C-17', 'bicycle.1', 'Cabinet.C-17', 'cabinet.C 17', `cabinet.${'x'.repeat(129)}`])(
    '%j names none',
    (text) => {
      expect(parseControllerId(text)).toBeUndefined();
    },
  );
});
