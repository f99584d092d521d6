import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Nobody can guess 256 bits, so it is safe to store a plain SHA-256 of them. */
const tokenBytes = 32;

export const createToken = (): string => randomBytes(tokenBytes).toString('base64url');

export const hashToken = (token: string): Buffer => createHash('sha256').update(token).digest();

/** Compares in constant time. */
export const isTokenOf = (token: string, hash: Uint8Array): boolean => timingSafeEqual(hashToken(token), hash);

export interface DeviceCredentials {
  scheme: 'TargetToken' | 'GatewayToken';
  token: string;
}

/** hawkBit's two schemes; undefined for any other header. */
export const parseCredentials = (authorization: string | undefined): DeviceCredentials | undefined => {
  const [, scheme, token] = /^(TargetToken|GatewayToken) +(\S{1,512})$/i.exec(authorization ?? '') ?? [];
  if (!scheme || !token) return undefined;
  return { scheme: scheme.toLowerCase() === 'targettoken' ? 'TargetToken' : 'GatewayToken', token };
};
