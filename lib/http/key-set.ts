import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { createHttpClient } from '../http-client.ts';

export interface KeySetOptions {
  url: string;
  /** For how long the keys that were fetched last are used while newer ones cannot be fetched. Default: a day. */
  maximumAgeSeconds?: number | undefined;
}

const fetchTimeoutMilliseconds = 2_000;
const freshSeconds = 600;
/** If a token names an unknown key, the set is fetched again only if it is older than this: anybody can invent names of keys. */
const secondsBetweenLooks = 30;
/** After a failure nobody waits for the address again until this time has passed. */
const secondsBetweenTries = 30;

/** The keys could not be fetched: a timeout, another status or content, a broken connection. */
class KeySetUnavailable extends Error {
  override readonly name = 'KeySetUnavailable';
}

export type KeySet = JWTVerifyGetKey & {
  /** When the keys in use were fetched, in milliseconds since 1970; undefined: the next token makes the service fetch others. */
  freshSince: () => number | undefined;
};

interface FetchedKeys {
  find: JWTVerifyGetKey;
  at: number;
}

/**
 * The keys of an identity provider. They are fetched again when they are ten minutes old, and when a token names a key that is not among
 * them. While fetching fails, the last keys are used for up to `maximumAgeSeconds`. A set that arrives replaces all of them, so that a
 * withdrawn key is gone.
 *
 * The returned function throws jose's errors; {@link isKeySetUnavailable} tells whether the keys could not be fetched.
 */
export const createKeySet = ({ url, maximumAgeSeconds = 86_400 }: KeySetOptions): KeySet => {
  const fetchKeys = createFetchKeys(url);
  let last: FetchedKeys | undefined;
  let failure: { error: unknown; at: number } | undefined;
  /** The request under way; all callers wait for the same one. */
  let underWay: Promise<FetchedKeys> | undefined;

  const youngerThan = (seconds: number) => (last && Date.now() < last.at + seconds * 1_000 ? last : undefined);
  const fetchAgain = (): Promise<FetchedKeys> => {
    if (failure && youngerThan(maximumAgeSeconds) && Date.now() < failure.at + secondsBetweenTries * 1_000)
      return Promise.reject(failure.error);
    underWay ??= fetchKeys()
      .then(
        (keys) => {
          failure = undefined;
          last = keys;
          return keys;
        },
        (error: unknown) => {
          failure = { error, at: Date.now() };
          throw error;
        },
      )
      .finally(() => {
        underWay = undefined;
      });
    return underWay;
  };

  const find: JWTVerifyGetKey = async (header, token) => {
    const fresh = youngerThan(freshSeconds);
    if (fresh) {
      try {
        return await fresh.find(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey) || youngerThan(secondsBetweenLooks)) throw error;
        return (await fetchAgain()).find(header, token);
      }
    }
    try {
      return await (await fetchAgain()).find(header, token);
    } catch (error) {
      const keys = youngerThan(maximumAgeSeconds);
      if (!keys || !(error instanceof KeySetUnavailable)) throw error;
      return await findAmongOld(keys, error)(header, token);
    }
  };
  return Object.assign(find, { freshSince: () => youngerThan(freshSeconds)?.at });
};

/** Looks for a key among old keys. If it is not there, the current set may have it, so the keys count as unavailable. */
const findAmongOld =
  (keys: FetchedKeys, unavailable: KeySetUnavailable): JWTVerifyGetKey =>
  async (header, token) => {
    try {
      return await keys.find(header, token);
    } catch (error) {
      throw error instanceof errors.JWKSNoMatchingKey ? unavailable : error;
    }
  };

const createFetchKeys = (url: string): (() => Promise<FetchedKeys>) => {
  const get = createHttpClient(new URL(url));
  const headers = { accept: 'application/json, application/jwk-set+json' };
  return async () => {
    try {
      const { status, text } = await get({ method: 'GET', headers, timeoutMilliseconds: fetchTimeoutMilliseconds });
      if (status !== 200) throw new Error(`The key set was answered ${status}`);
      return { find: createLocalJWKSet(JSON.parse(text) as JSONWebKeySet), at: Date.now() };
    } catch (cause) {
      throw new KeySetUnavailable('The key set cannot be fetched', { cause });
    }
  };
};

/** jose throws TypeErrors for keys of the set that cannot be used: that is not the token's fault either. */
export const isKeySetUnavailable = (error: unknown): boolean => error instanceof KeySetUnavailable || error instanceof TypeError;
