import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { createHttpClient } from '../http-client.ts';

export interface KeySetOptions {
  url: string;
  /** How long the keys that were fetched last are good while no newer ones can be had. Default: a day. */
  maximumAgeSeconds?: number | undefined;
}

const fetchTimeoutMilliseconds = 2_000;
const freshSeconds = 600;
/** A key that is not among keys as young as this is not looked for again: anybody can make up its name. */
const secondsBetweenLooks = 30;
/** Whoever asks in between is not kept waiting for an address that has just failed. */
const secondsBetweenTries = 30;

/** The keys could not be had: a timeout, another status or content, a broken connection. */
class KeySetUnavailable extends Error {
  override readonly name = 'KeySetUnavailable';
}

export type KeySet = JWTVerifyGetKey & {
  /** When the keys that are used now were fetched, in milliseconds since 1970; undefined: the next token has others looked for. */
  freshSince: () => number | undefined;
};

interface FetchedKeys {
  find: JWTVerifyGetKey;
  at: number;
}

/**
 * The keys of an identity provider. They are fetched again when they are ten minutes old, and when a token names a key that is not among
 * them. While that fails, the last ones go on for as long as `maximumAgeSeconds`; a set that does arrive replaces them whole, so that a
 * key that was withdrawn is gone with it.
 *
 * The function that is returned throws what jose throws; {@link isKeySetUnavailable} tells whether the keys could not be had.
 */
export const createKeySet = ({ url, maximumAgeSeconds = 86_400 }: KeySetOptions): KeySet => {
  const fetchKeys = createFetchKeys(url);
  let last: FetchedKeys | undefined;
  let failure: { error: unknown; at: number } | undefined;
  /** All who need it wait for the same one. */
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

/** A key that is not among them may be one that the set has by now: nobody can tell. */
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

/** A set may also have keys that cannot be used: that is no fault of the token. */
export const isKeySetUnavailable = (error: unknown): boolean => error instanceof KeySetUnavailable || error instanceof TypeError;
