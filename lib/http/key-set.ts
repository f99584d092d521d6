import { createLocalJWKSet, createRemoteJWKSet, type ExportedJWKSCache, errors, type JWTVerifyGetKey, jwksCache } from 'jose';

export interface KeySetOptions {
  url: string;
  /** How long the keys that were fetched last are good while no newer ones can be had. Default: a day. */
  maximumAgeSeconds?: number | undefined;
}

const fetchTimeoutMilliseconds = 2_000;
/** Whoever asks in between is not kept waiting for an address that has just failed. */
const secondsBetweenTries = 30;

/**
 * The keys of an identity provider. They are fetched again when they are ten minutes old, and when a token names a key that is not among
 * them. While that fails, the last ones go on for as long as `maximumAgeSeconds`; a set that does arrive replaces them whole, so that a
 * key that was withdrawn is gone with it.
 *
 * The function that is returned throws what jose throws; {@link isKeySetUnavailable} tells whether the keys could not be had.
 */
export const createKeySet = ({ url, maximumAgeSeconds = 86_400 }: KeySetOptions): JWTVerifyGetKey => {
  /** Filled in by jose at each fetch. */
  const fetched: Partial<ExportedJWKSCache> = {};
  const remote = createRemoteJWKSet(new URL(url), {
    timeoutDuration: fetchTimeoutMilliseconds,
    [jwksCache]: fetched as Record<string, never>,
  });
  let failure: { error: unknown; at: number } | undefined;

  const findLastKeys = () => {
    const { jwks, uat = 0 } = fetched;
    return Date.now() < uat + maximumAgeSeconds * 1_000 ? jwks : undefined;
  };
  const fetchAgain = async (): Promise<void> => {
    if (failure && findLastKeys() && Date.now() < failure.at + secondsBetweenTries * 1_000) throw failure.error;
    try {
      await remote.reload();
      failure = undefined;
    } catch (error) {
      failure = { error, at: Date.now() };
      throw error;
    }
  };

  return async (header, token) => {
    try {
      if (!remote.fresh) await fetchAgain();
    } catch (error) {
      const keys = findLastKeys();
      if (!keys) throw error;
      return await createLocalJWKSet(keys)(header, token).catch((reason: unknown) => {
        // It may be a key that the set has by now: nobody can tell.
        throw reason instanceof errors.JWKSNoMatchingKey ? error : reason;
      });
    }
    return remote(header, token);
  };
};

/** jose tells a key set that it could not get (a timeout, another status or content, a broken connection) from a token that is wrong. */
export const isKeySetUnavailable = (error: unknown): boolean =>
  error instanceof errors.JWKSTimeout ||
  error instanceof errors.JWKSInvalid ||
  error instanceof TypeError ||
  (error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC');
