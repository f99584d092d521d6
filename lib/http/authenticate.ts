import { type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { AuthConfig, Config } from '../config.ts';
import { DomainError } from '../errors.ts';
import { isStorable } from '../text.ts';
import { createKeySet, isKeySetUnavailable, type KeySet } from './key-set.ts';

export const scopes = [
  'read',
  'firmware:write',
  'devices:write',
  'updates:write',
  'updates:approve',
  'devices:report',
  'keys:write',
  'audit:read',
] as const;
export type Scope = (typeof scopes)[number];

/** A caller, with what the credentials permit, of whatever kind these are. */
export interface Authenticated {
  scopes: ReadonlySet<string>;
}

export interface Caller extends Authenticated {
  subject: string;
}

/** Parameters of the path, still unchecked: the path names a device, and its token proves that it calls. */
export type PathParameters = Readonly<Record<string, string | undefined>>;

/**
 * Finds out who sends an Authorization header: people and programs with a JWT (`createAuthenticate`), or devices with a token of their own
 * (`createAuthenticateDevice`).
 *
 * @throws `auth.missing_token`, `auth.invalid_token`, `auth.device_refused`, or `auth.keys_unavailable` when the key set cannot be fetched.
 */
export type Authenticate<C extends Authenticated = Caller> = (authorization: string | undefined, path?: PathParameters) => Promise<C>;

export interface AuthenticateOptions {
  issuer: string;
  audience: string;
  jwksUrl: string;
  /** For how long fetched keys are used while newer ones cannot be fetched (key-set.ts). */
  jwksMaximumAgeSeconds?: number | undefined;
}

/** Real tokens are below 2 KiB; anything near this is an attack on the parser. */
const maximumTokenLength = 8_192;
/** Only asymmetric algorithms: with a shared secret, a service that checks tokens could also make them. */
const algorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519'];
const clockToleranceSeconds = 5;

/** RFC 6750 bearer tokens, JWTs signed by a key of the JWKS. */
export const createAuthenticate = ({ issuer, audience, jwksUrl, jwksMaximumAgeSeconds }: AuthenticateOptions): Authenticate => {
  const keys = createKeySet({ url: jwksUrl, maximumAgeSeconds: jwksMaximumAgeSeconds });
  return remembering(keys, (authorization) => authenticate(authorization, keys, { issuer, audience }));
};

const mostRemembered = 20;

/** The same, by a function's settings. */
export const authenticateBy = (config: Config<typeof AuthConfig>): Authenticate =>
  createAuthenticate({
    issuer: config.JWT_ISSUER,
    audience: config.JWT_AUDIENCE,
    jwksUrl: config.JWKS_URL,
    jwksMaximumAgeSeconds: config.JWKS_MAXIMUM_AGE_SECONDS,
  });

/** Remembers valid tokens until they expire or the keys change, because checking a signature costs as much as a statement. */
const remembering = ({ freshSince }: KeySet, check: (authorization: string | undefined) => Promise<Verified>): Authenticate => {
  const remembered = new Map<string | undefined, Verified & { since: number | undefined }>();
  return async (authorization) => {
    const known = remembered.get(authorization);
    if (known?.since !== undefined && known.since === freshSince() && Date.now() < known.expires) return known.caller;
    const before = freshSince();
    const verified = await check(authorization);
    // If the keys have changed meanwhile, the token has to be checked anew next time.
    const since = freshSince() === before ? before : undefined;
    if (remembered.size >= mostRemembered) remembered.clear();
    remembered.set(authorization, { ...verified, since });
    return verified.caller;
  };
};

interface Verified {
  caller: Caller;
  /** Milliseconds since 1970. */
  expires: number;
}

const authenticate = async (
  authorization: string | undefined,
  keys: JWTVerifyGetKey,
  { issuer, audience }: { issuer: string; audience: string },
): Promise<Verified> => {
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
    if (!isSubject(payload.sub)) throw invalidToken();
    const scopes = new Set(typeof payload['scope'] === 'string' ? payload['scope'].split(' ') : []);
    return { caller: { subject: payload.sub, scopes }, expires: (payload.exp ?? 0) * 1_000 };
  } catch (error) {
    if (error instanceof DomainError) throw error;
    if (isKeySetUnavailable(error)) {
      throw new DomainError('auth.keys_unavailable', 'The keys to check tokens with cannot be fetched', { cause: error });
    }
    throw invalidToken(error);
  }
};

/** The subject is stored with each request of its bearer, so it has to be storable. OpenID Connect allows 255 characters. */
const isSubject = (sub: unknown): sub is string => typeof sub === 'string' && sub !== '' && sub.length <= 255 && isStorable(sub);

const invalidToken = (cause?: unknown) =>
  new DomainError('auth.invalid_token', 'The token is not valid here: its signature, issuer, audience or expiry is wrong', { cause });
