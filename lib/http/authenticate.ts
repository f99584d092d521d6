import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { DomainError } from '../errors.ts';

export const scopes = ['read', 'firmware:write', 'devices:write', 'updates:write', 'devices:report'] as const;
export type Scope = (typeof scopes)[number];

/** What a caller's credentials permit, whatever they are. */
export interface Authenticated {
  scopes: ReadonlySet<string>;
}

export interface Caller extends Authenticated {
  subject: string;
}

/** Parameters of the path, still unchecked: a device is who its path says and its token proves. */
export type PathParameters = Readonly<Record<string, string | undefined>>;

/**
 * Who sends this Authorization header: people and programs with a JWT (`createAuthenticate`), devices with a token of their own
 * (`createAuthenticateDevice`).
 *
 * @throws `auth.missing_token`, `auth.invalid_token`, `auth.device_refused`, or `auth.keys_unavailable` when the key set cannot be fetched.
 */
export type Authenticate<C extends Authenticated = Caller> = (authorization: string | undefined, path?: PathParameters) => Promise<C>;

export interface AuthenticateOptions {
  issuer: string;
  audience: string;
  jwksUrl: string;
}

/** Real tokens are below 2 KiB; anything near this is an attack on the parser. */
const maximumTokenLength = 8_192;
/** Asymmetric ones only: with a shared secret, whoever checks tokens could make them. */
const algorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519'];
const clockToleranceSeconds = 5;

/** RFC 6750 bearer tokens, JWTs signed by a key of the JWKS. The key set is kept and fetched again when an unknown key id appears. */
export const createAuthenticate = ({ issuer, audience, jwksUrl }: AuthenticateOptions): Authenticate => {
  const keys = createRemoteJWKSet(new URL(jwksUrl), { timeoutDuration: 2_000 });
  return (authorization) => authenticate(authorization, keys, { issuer, audience });
};

const authenticate = async (
  authorization: string | undefined,
  keys: JWTVerifyGetKey,
  { issuer, audience }: { issuer: string; audience: string },
): Promise<Caller> => {
  if (!authorization) throw new DomainError('auth.missing_token', 'A bearer token is needed in the Authorization header');
  const token = /^Bearer +([\w.~+/=-]+)$/i.exec(authorization.slice(0, maximumTokenLength + 16))?.[1];
  if (!token || token.length > maximumTokenLength) throw invalidToken();
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms,
      requiredClaims: ['exp', 'sub'],
      clockTolerance: clockToleranceSeconds,
    });
    if (!payload.sub) throw invalidToken();
    return { subject: payload.sub, scopes: new Set(typeof payload['scope'] === 'string' ? payload['scope'].split(' ') : []) };
  } catch (error) {
    if (error instanceof DomainError) throw error;
    if (isKeySetUnavailable(error)) {
      throw new DomainError('auth.keys_unavailable', 'The keys to check tokens with cannot be fetched', { cause: error });
    }
    throw invalidToken(error);
  }
};

const invalidToken = (cause?: unknown) =>
  new DomainError('auth.invalid_token', 'The token is not valid here: its signature, issuer, audience or expiry is wrong', { cause });

/** jose tells a key set that it could not get (a timeout, another status or content, a broken connection) from a token that is wrong. */
const isKeySetUnavailable = (error: unknown): boolean =>
  error instanceof errors.JWKSTimeout ||
  error instanceof errors.JWKSInvalid ||
  error instanceof TypeError ||
  (error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC');
