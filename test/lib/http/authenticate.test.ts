import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { freePort } from '../../../dev/stack/free-port.ts';
import { createHandler } from '../../../functions/get-device-versions/handler.ts';
import { createAuthenticate } from '../../../lib/http/authenticate.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenDevices } from '../../support/fixtures.ts';
import { call, createIdentity, createRecordingLog, createSigningKey } from '../../support/http.ts';

const { db, takeStatements } = await createTestDatabase();
const identity = await createIdentity();
const { issuer, audience, jwksUrl } = identity;
const [external_id = ''] = await givenDevices(db);
const log = createRecordingLog();

beforeEach(() => {
  takeStatements();
  log.lines.length = 0;
});

/** Asks for a scooter that exists. */
const getScooter = (request: { token?: string; headers?: Record<string, string> }, authenticate = identity.authenticate) =>
  call(createHandler({ db, authenticate, log }), {
    method: 'GET',
    path: '/v1/scooters/{external_id}',
    pathParameters: { external_id },
    ...request,
  });

/** A token whose header and claims can be anything; claims are valid unless told. */
const forge = async (header: Record<string, unknown>, claims: Record<string, unknown> = {}, key = identity.key) => {
  const now = Math.floor(Date.now() / 1000);
  const payload = { iss: issuer, aud: audience, sub: 'tester', scope: 'read', exp: now + 300, ...claims };
  return new SignJWT(JSON.parse(JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'ES256', kid: key.kid, ...header } as { alg: string })
    .sign(key.privateKey);
};

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a valid token', () => {
  it('200: lets its bearer in, whatever the case of the header and of the word Bearer', async () => {
    const token = await identity.token({ scopes: ['read'] });
    expect(await getScooter({ token })).toMatchObject({ statusCode: 200, body: { external_id } });
    expect(await getScooter({ headers: { AUTHORIZATION: `bearer ${token}` } })).toMatchObject({ statusCode: 200 });
    expect(await getScooter({ headers: { authorization: `BEARER  ${token}` } })).toMatchObject({ statusCode: 200 });
  });

  it('200: is taken when this audience is one of several, and when its clock is a little ahead', async () => {
    expect(await getScooter({ token: await forge({}, { aud: ['https://other.test', audience] }) })).toMatchObject({ statusCode: 200 });
    const nbf = Math.floor(Date.now() / 1000) + 3;
    expect(await getScooter({ token: await forge({}, { nbf }) })).toMatchObject({ statusCode: 200 });
  });

  it('tells who calls, with the scopes given and no others', async () => {
    const token = await forge({}, { sub: 'pipeline-7', scope: 'read firmware:write' });
    expect(await identity.authenticate(`Bearer ${token}`)).toEqual({ subject: 'pipeline-7', scopes: new Set(['read', 'firmware:write']) });
  });
});

describe('no token', () => {
  it.each<[string, Record<string, string> | undefined]>([
    ['no headers at all', undefined],
    ['no Authorization header', { 'x-other': '1' }],
    ['an empty Authorization header', { Authorization: '' }],
  ])('401: %s; the answer asks for a bearer token and nothing is read', async (_, headers) => {
    const answer = await getScooter(headers ? { headers } : {});
    expect(answer).toMatchObject({ statusCode: 401, body: { code: 'auth.missing_token', status: 401 } });
    expect(answer.headers).toMatchObject({ 'www-authenticate': 'Bearer', 'content-type': 'application/problem+json' });
    expect(takeStatements()).toEqual([]);
  });
});

describe('a token that is not valid here', () => {
  const seconds = (n: number) => Math.floor(Date.now() / 1000) + n;
  const tokens: [string, () => Promise<string> | string][] = [
    ['of another issuer', () => identity.token({ issuer: 'https://identity.test.evil' })],
    ['of an issuer that differs in a slash', () => identity.token({ issuer: `${issuer}/` })],
    ['for another audience', () => identity.token({ audience: 'another-service' })],
    ['without an audience', () => forge({}, { aud: undefined })],
    ['without an issuer', () => forge({}, { iss: undefined })],
    ['that has expired', () => identity.token({ expiresInSeconds: -30 })],
    ['that never expires', () => forge({}, { exp: undefined })],
    ['whose expiry is text', () => forge({}, { exp: '9999999999' })],
    ['that is not valid yet', () => identity.token({ validInSeconds: 60 })],
    ['without a subject', () => forge({}, { sub: undefined })],
    ['with an empty subject', () => forge({}, { sub: '' })],
    ['whose subject has NUL', () => forge({}, { sub: 'a\u0000b' })],
    ['whose subject has half a character', () => forge({}, { sub: 'a\ud800' })],
    ['whose subject is an object', () => forge({}, { sub: {} })],
    ['whose subject is a list', () => forge({}, { sub: ['tester'] })],
    ['whose subject is a number', () => forge({}, { sub: 5 })],
    ['whose subject is a truth value', () => forge({}, { sub: true })],
    ['whose subject is longer than any', () => forge({}, { sub: 'x'.repeat(256) })],
    ['signed by another key under the known key id', async () => forge({}, {}, await createSigningKey(identity.key.kid))],
    ['with an extension that is not understood', () => forgeHeader({ alg: 'ES256', kid: identity.key.kid, crit: ['x'], x: 1 })],
    ['with an algorithm nobody knows', () => forgeHeader({ alg: 'ES999', kid: identity.key.kid })],
    ['without an algorithm', () => forgeHeader({ kid: identity.key.kid })],
    ['whose payload was changed', () => changePayload()],
    ['whose signature is missing', async () => (await identity.token()).replace(/[^.]*$/, '')],
    ['of two parts', async () => (await identity.token()).split('.').slice(0, 2).join('.')],
    ['of five parts, as encrypted ones have', async () => `${await identity.token()}.AA.AA`],
    ['that is no JWT', () => 'opaque-token'],
    ['with a claim set that is no object', () => `${base64url({ alg: 'ES256', kid: identity.key.kid })}.${base64url('x')}.AA`],
  ];
  const forgeHeader = (header: object) =>
    `${base64url(header)}.${base64url({ iss: issuer, aud: audience, sub: 'x', exp: seconds(300), scope: 'read' })}.AAAA`;
  const changePayload = async () => {
    const [header, , signature] = (await identity.token({ scopes: ['read'] })).split('.');
    return `${header}.${base64url({ iss: issuer, aud: audience, sub: 'x', exp: seconds(300), scope: 'read updates:write' })}.${signature}`;
  };

  it.each(tokens)('401: refuses a token %s, reads nothing and logs no part of it', async (_, make) => {
    const token = await make();
    const answer = await getScooter({ token });
    expect(answer).toMatchObject({ statusCode: 401, body: { code: 'auth.invalid_token' } });
    expect(answer.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
    expect(takeStatements()).toEqual([]);
    for (const part of token.split('.').filter(({ length }) => length > 12)) expect(log.lines.join('\n')).not.toContain(part);
  });

  it('401: refuses an unsigned token (alg none), in every spelling', async () => {
    for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
      expect(await getScooter({ token: forgeHeader({ alg }).replace(/[^.]*$/, '') })).toMatchObject({ statusCode: 401 });
      expect(await getScooter({ token: forgeHeader({ alg }) })).toMatchObject({ statusCode: 401 });
    }
  });

  it('401: refuses HS256 with the public key as the secret, in every form the key has', async () => {
    const jwk = identity.key.publicJwk;
    const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    const secrets = [
      key.export({ type: 'spki', format: 'pem' }),
      key.export({ type: 'spki', format: 'der' }),
      JSON.stringify(jwk),
      String(jwk.x),
      Buffer.from(String(jwk.x), 'base64url'),
    ];
    for (const secret of secrets) {
      const token = await new SignJWT({ scope: 'read' })
        .setProtectedHeader({ alg: 'HS256', kid: identity.key.kid })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject('tester')
        .setExpirationTime('5m')
        .sign(Buffer.concat([Buffer.from(secret), Buffer.alloc(32)]).subarray(0, Math.max(32, secret.length)));
      expect(await getScooter({ token })).toMatchObject({ statusCode: 401, body: { code: 'auth.invalid_token' } });
    }
  });

  it('401: takes no key from the token itself (jwk, jku, x5u)', async () => {
    const own = await createSigningKey(identity.key.kid);
    const before = identity.jwks.requests;
    for (const header of [{ jwk: own.publicJwk }, { jku: jwksUrl }, { x5u: jwksUrl }]) {
      expect(await getScooter({ token: await forge(header, {}, own) })).toMatchObject({ statusCode: 401 });
    }
    expect(identity.jwks.requests - before).toBeLessThanOrEqual(1);
  });

  it('401: refuses an over-long token, though it would be valid', async () => {
    const long = await forge({}, { padding: 'x'.repeat(6_500) });
    expect(long.length).toBeGreaterThan(8_192);
    for (const token of [long, 'a'.repeat(8_193), 'a'.repeat(5_000_000)]) {
      expect(await getScooter({ token })).toMatchObject({ statusCode: 401, body: { code: 'auth.invalid_token' } });
    }
    expect(await getScooter({ token: await forge({}, { padding: 'x'.repeat(5_500) }) })).toMatchObject({ statusCode: 200 });
  });

  it.each([
    ['another scheme', (token: string) => `Basic ${token}`],
    ['the token alone', (token: string) => token],
    ['two tokens', (token: string) => `Bearer ${token}, Bearer ${token}`],
    ['something after the token', (token: string) => `Bearer ${token} x`],
    ['a line break before the token', (token: string) => `Bearer\n${token}`],
    ['no token', () => 'Bearer '],
  ])('401: refuses an Authorization header with %s', async (_, toHeader) => {
    const answer = await getScooter({ headers: { Authorization: toHeader(await identity.token()) } });
    expect(answer).toMatchObject({ statusCode: 401, body: { code: 'auth.invalid_token' } });
  });

  it('401: whatever text comes as a header, it is the caller’s fault and never ours', async () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.base64String(),
      fc
        .tuple(
          fc.oneof(
            fc.json(),
            fc.dictionary(fc.constantFrom('alg', 'kid', 'typ', 'crit', 'b64'), fc.jsonValue()).map((o) => JSON.stringify(o)),
          ),
          fc.json(),
          fc.base64String(),
        )
        .map(([header, claims, signature]) => [header, claims, signature].map((part) => Buffer.from(part).toString('base64url')).join('.')),
      fc
        .dictionary(fc.constantFrom('typ', 'crit', 'b64', 'x5c', 'zip'), fc.jsonValue())
        .map((header) => forgeHeader({ ...header, alg: 'ES256', kid: identity.key.kid })),
    );
    await fc.assert(
      fc.asyncProperty(anything, async (token) => {
        await expect(identity.authenticate(`Bearer ${token}`)).rejects.toMatchObject({ code: 'auth.invalid_token' });
      }),
      { numRuns: 400 },
    );
  });
});

describe('scopes', () => {
  it.each([
    ['no scope at all', undefined],
    ['only other scopes', 'firmware:write devices:write updates:write devices:report'],
    ['a longer scope', 'reader read:all'],
    ['another case', 'READ'],
    ['a list instead of text', ['read']],
    ['nothing but spaces', '   '],
  ])('403: a valid token with %s may not read, and is told so', async (_, scope) => {
    const answer = await getScooter({ token: await forge({}, { scope }) });
    expect(answer).toMatchObject({ statusCode: 403, body: { code: 'auth.insufficient_scope', detail: 'The token lacks the scope read' } });
    expect(answer.headers['www-authenticate']).toBe('Bearer error="insufficient_scope"');
    expect(takeStatements()).toEqual([]);
  });
});

describe('the key set', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['Date'] }));
  afterEach(() => vi.useRealTimers());
  const createFresh = () => createAuthenticate({ issuer, audience, jwksUrl });
  const later = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000);

  it('is fetched once, however many requests come at once and afterwards', async () => {
    const authenticate = createFresh();
    const token = await identity.token();
    const before = identity.jwks.requests;
    await Promise.all(Array.from({ length: 50 }, () => authenticate(`Bearer ${token}`)));
    later(200);
    await authenticate(`Bearer ${token}`);
    expect(identity.jwks.requests - before).toBe(1);
  });

  it('is fetched again when a token names an unknown key, so that a new key works without a restart', async () => {
    const authenticate = createFresh();
    const old = await identity.token();
    expect(await getScooter({ token: old }, authenticate)).toMatchObject({ statusCode: 200 });
    await identity.changeKey();
    later(40);
    expect(await getScooter({ token: await identity.token() }, authenticate)).toMatchObject({ statusCode: 200 });
    expect(await getScooter({ token: old }, authenticate)).toMatchObject({ statusCode: 401 });
  });

  it('is not fetched for each of a flood of tokens with made-up key ids', async () => {
    const authenticate = createFresh();
    await authenticate(`Bearer ${await identity.token()}`);
    const before = identity.jwks.requests;
    for (let i = 0; i < 20; i += 1) {
      const token = await forge({ kid: `made-up-${i}` });
      expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 401 });
    }
    expect(identity.jwks.requests - before).toBeLessThanOrEqual(1);
  });

  it('is forgotten after a while, so that a withdrawn key stops working', async () => {
    const authenticate = createFresh();
    const token = await identity.token({ expiresInSeconds: 7_200 });
    await authenticate(`Bearer ${token}`);
    await identity.changeKey();
    later(3_600);
    expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 401 });
  });

  it.each([
    ['answers 500', { status: 500, body: '{}' }],
    ['answers 404', { status: 404, body: '{}' }],
    ['answers a redirect', { status: 302, body: '' }],
    ['answers something that is not JSON', { status: 200, body: '<html>' }],
    ['answers JSON that is no key set', { status: 200, body: '{"keys":"none"}' }],
  ])('503: its address %s; nobody is let in, the token is not blamed, and it heals by itself', async (_, broken) => {
    const authenticate = createFresh();
    const whole = { ...identity.jwks };
    const repair = () => Object.assign(identity.jwks, whole);
    onTestFinished(() => void repair());
    Object.assign(identity.jwks, broken);
    const token = await identity.token();
    const answer = await getScooter({ token }, authenticate);
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'auth.keys_unavailable' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(takeStatements()).toEqual([]);
    repair();
    expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 200 });
    expect(log.lines.join('\n')).not.toContain(token.split('.')[2]);
  });

  it('503: nobody listens at its address', async () => {
    const authenticate = createAuthenticate({ issuer, audience, jwksUrl: `http://127.0.0.1:${await freePort()}/jwks.json` });
    const answer = await getScooter({ token: await identity.token() }, authenticate);
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'auth.keys_unavailable' } });
    expect(JSON.stringify(answer)).not.toContain('127.0.0.1');
  });

  it('503: it takes connections and never answers', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    onTestFinished(() => silent.closeAllConnections());
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const authenticate = createAuthenticate({ issuer, audience, jwksUrl: `http://127.0.0.1:${port}/jwks.json` });
    const answer = await getScooter({ token: await identity.token() }, authenticate);
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'auth.keys_unavailable' } });
    silent.close();
  });

  it('200: known keys go on working while its address is down', async () => {
    const authenticate = createFresh();
    const token = await identity.token();
    await authenticate(`Bearer ${token}`);
    onTestFinished(() => {
      identity.jwks.status = 200;
    });
    identity.jwks.status = 500;
    later(60);
    expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 200 });
  });

  /** What its address answers while `work` is done. */
  const whileAway = async (broken: Partial<typeof identity.jwks>, work: () => Promise<void>) => {
    const whole = { ...identity.jwks };
    Object.assign(identity.jwks, broken);
    await work().finally(() => Object.assign(identity.jwks, { ...whole, requests: identity.jwks.requests }));
  };
  const aDay = 86_400;

  it.each([
    ['answers 503', { status: 503, body: '' }],
    ['answers something that is not JSON', { status: 200, body: '<html>' }],
    ['answers JSON that is no key set', { status: 200, body: '{"keys":"none"}' }],
  ])('200: known keys go on working for a day while its address %s; 503: no longer', async (_, broken) => {
    const authenticate = createFresh();
    const token = await identity.token({ expiresInSeconds: 2 * aDay });
    await authenticate(`Bearer ${token}`);
    await whileAway(broken, async () => {
      for (const seconds of [660, 3_600, aDay - 4_300]) {
        later(seconds);
        expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 200 });
      }
      later(100);
      expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 503, body: { code: 'auth.keys_unavailable' } });
    });
    expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 200 });
  });

  it('200: known keys go on working for as long as is configured', async () => {
    const authenticate = createAuthenticate({ issuer, audience, jwksUrl, jwksMaximumAgeSeconds: 1_200 });
    const token = await identity.token({ expiresInSeconds: aDay });
    await authenticate(`Bearer ${token}`);
    await whileAway({ status: 503 }, async () => {
      later(1_199);
      expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 200 });
      later(2);
      expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 503 });
    });
  });

  it('401: a token that was taken again and again, once it has expired', async () => {
    const authenticate = createFresh();
    const token = await identity.token({ expiresInSeconds: 60 });
    for (let n = 0; n < 3; n += 1) expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 200 });
    later(66);
    expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 401 });
  });

  it('401: a token that was taken again and again, once its key was withdrawn', async () => {
    const authenticate = createFresh();
    const token = await identity.token({ expiresInSeconds: aDay });
    for (let n = 0; n < 3; n += 1) expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 200 });
    await identity.changeKey();
    later(601);
    expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 401 });
  });

  it('503: an unknown key is no fault of its bearer while its address is down', async () => {
    const authenticate = createFresh();
    await authenticate(`Bearer ${await identity.token()}`);
    await whileAway({ status: 503 }, async () => {
      later(660);
      const token = await forge({ kid: 'perhaps new' });
      expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 503, body: { code: 'auth.keys_unavailable' } });
    });
  });

  it('401: a wrong signature stays wrong while its address is down', async () => {
    const authenticate = createFresh();
    await authenticate(`Bearer ${await identity.token()}`);
    await whileAway({ status: 503 }, async () => {
      later(660);
      const token = await forge({}, {}, await createSigningKey(identity.key.kid));
      expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 401 });
    });
  });

  it('an address that has failed is asked again after half a minute, and not by each request', async () => {
    const authenticate = createFresh();
    const token = await identity.token({ expiresInSeconds: aDay });
    await authenticate(`Bearer ${token}`);
    await whileAway({ status: 503 }, async () => {
      later(660);
      const before = identity.jwks.requests;
      for (let i = 0; i < 10; i += 1) await authenticate(`Bearer ${token}`);
      expect(identity.jwks.requests - before).toBe(1);
      later(31);
      await authenticate(`Bearer ${token}`);
      expect(identity.jwks.requests - before).toBe(2);
    });
  });

  it('401: a key that was withdrawn is gone with the first set that arrives, also after an outage', async () => {
    const authenticate = createFresh();
    const token = await identity.token({ expiresInSeconds: aDay });
    await authenticate(`Bearer ${token}`);
    await whileAway({ status: 503 }, async () => {
      later(3_600);
      expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 200 });
    });
    await identity.changeKey();
    later(31);
    expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 401 });
    await whileAway({ status: 503 }, async () => {
      later(660);
      expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 503 });
      expect(await getScooter({ token: await identity.token({ expiresInSeconds: aDay }) }, authenticate)).toMatchObject({
        statusCode: 200,
      });
    });
  });

  it('401: a set without any key withdraws all of them', async () => {
    const authenticate = createFresh();
    const token = await identity.token({ expiresInSeconds: aDay });
    await authenticate(`Bearer ${token}`);
    await whileAway({ body: '{"keys":[]}' }, async () => {
      later(660);
      expect(await getScooter({ token }, authenticate)).toMatchObject({ statusCode: 401 });
    });
  });
});
