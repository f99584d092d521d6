import { generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/author-keys/handler.ts';
import { createAuthorKey, rootOf, signedRoot } from '../support/authors.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog, TestClock } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const clock = new TestClock();
const handler = createHandler({ db, now: clock.now, log: silentLog, authenticate } as never);
const keeper = await token({ scopes: ['keys:write', 'read'], subject: 'keeper' });

const add = (body: unknown, bearer = keeper) => call<never>(handler, { method: 'POST', path: '/v1/author-keys', token: bearer, body });
const revoke = (id: number, reason = 'stolen') =>
  call<never>(handler, {
    ...{ method: 'POST', path: '/v1/author-keys/{id}/revoke', pathParameters: { id: String(id) } },
    ...{ token: keeper, body: { reason } },
  });
const publish = (version: number, body: unknown) =>
  call<never>(handler, {
    ...{ method: 'PUT', path: '/v1/author-roots/{version}', pathParameters: { version: String(version) } },
    ...{ token: keeper, body },
  });
const get = (path: string, query: Record<string, string> = {}) =>
  call<{ items: { version: number }[] }>(handler, { method: 'GET', path, query });

const ada = createAuthorKey();
const adas = { owner: 'ada', public_key: ada.publicKey, hardware_types: ['vega_mcu'] };

beforeEach(async () => {
  await db.deleteFrom('author_keys').execute();
  await db.deleteFrom('author_roots').execute();
});

describe('author keys', () => {
  it('201: a public key with its thumbprint; the same again is 200 and the same', async () => {
    const added = await add(adas);
    expect(added).toMatchObject({
      statusCode: 201,
      body: {
        owner: 'ada',
        kid: await calculateJwkThumbprint({ ...ada.publicKey }),
        public_key: ada.publicKey,
        created_by: 'keeper',
        revoked_dt: null,
      },
    });
    expect(await add(adas)).toMatchObject({ statusCode: 200, body: added.body });
  });

  it('takes P-256, too', async () => {
    expect(await add({ ...adas, public_key: createAuthorKey('p256').publicKey })).toMatchObject({ statusCode: 201 });
  });

  it('400: a private key is refused by name, and so are other kinds of keys and points that are on no curve', async () => {
    const privateKey = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
    const wrong = (public_key: unknown) => add({ ...adas, public_key });
    expect(await wrong(privateKey)).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'public_key.d' }] } });
    expect((await wrong(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }))).statusCode).toBe(400);
    const nowhere = { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43) };
    expect(await wrong(nowhere)).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'public_key' }] } });
    expect(await add({ ...adas, valid_until_dt: '2000-01-01T00:00:00Z' })).toMatchObject({
      statusCode: 400,
      body: { errors: [{ path: 'valid_until_dt' }] },
    });
  });

  it('409: one key of two owners', async () => {
    await add(adas);
    expect(await add({ ...adas, owner: 'bob' })).toMatchObject({ statusCode: 409, body: { code: 'author_key.exists' } });
  });

  it('a key that is revoked keeps its first reason, and cannot be added again', async () => {
    const { id } = (await add(adas)).body as { id: number };
    expect(await revoke(id)).toMatchObject({ statusCode: 200, body: { revocation_reason: 'stolen', revoked_by: 'keeper' } });
    expect(await revoke(id, 'again')).toMatchObject({ statusCode: 200, body: { revocation_reason: 'stolen' } });
    expect(await add(adas)).toMatchObject({ statusCode: 409 });
    expect(await revoke(999)).toMatchObject({ statusCode: 404, body: { code: 'author_key.not_found' } });
  });

  it('403: who may upload firmware may not choose whose signatures count', async () => {
    expect((await add(adas, await token({ scopes: ['firmware:write', 'read'] }))).statusCode).toBe(403);
  });
});

describe('author roots', () => {
  const first = createAuthorKey();
  const second = createAuthorKey('p256');

  it('each is signed by the one before and by itself; a device reads those after its own, without a token', async () => {
    expect(await publish(1, await signedRoot(rootOf({ ada }, first), first))).toMatchObject({ statusCode: 201 });
    const next = rootOf({ ada }, second, { version: 2 });
    const signed = await signedRoot(next, first, second);
    expect(await publish(2, signed)).toMatchObject({ statusCode: 201 });
    expect(await publish(2, signed)).toMatchObject({ statusCode: 200 });
    expect((await get('/v1/author-roots')).body.items.map(({ version }) => version)).toEqual([1, 2]);
    expect((await get('/v1/author-roots', { after_version: '1' })).body.items.map(({ version }) => version)).toEqual([2]);
  });

  it.each([
    ['not by the root before', async () => signedRoot(rootOf({ ada }, second, { version: 2 }), second), 400],
    ['not by itself', async () => signedRoot(rootOf({ ada }, second, { version: 2 }), first), 400],
    ['by nobody of whom anybody knows', async () => signedRoot(rootOf({ ada }, second, { version: 2 }), createAuthorKey()), 400],
    ['with one key of two authors', async () => signedRoot(rootOf({ ada, bob: ada }, first, { version: 2 }), first), 400],
    [
      'with a private key of the service',
      async () => signedRoot(rootOf({ ada }, first, { version: 2, manifest_keys: [{ ...first.publicKey, kid: 'k', d: 'x' }] }), first),
      400,
    ],
    ['expired', async () => signedRoot(rootOf({ ada }, first, { version: 2, exp: 1 }), first), 400],
    ['one left out', async () => signedRoot(rootOf({ ada }, first, { version: 3 }), first), 400],
    ['no root at all', async () => signedRoot({ hello: 'world' }, first), 400],
  ])('refused: %s', async (_, make, status) => {
    await publish(1, await signedRoot(rootOf({ ada }, first), first));
    expect((await publish(2, await make())).statusCode).toBe(status);
    expect((await get('/v1/author-roots')).body.items).toHaveLength(1);
  });

  it('409: a published root is never replaced, and none is left out', async () => {
    await publish(1, await signedRoot(rootOf({ ada }, first), first));
    const other = await signedRoot(rootOf({}, first), first);
    expect(await publish(1, other)).toMatchObject({ statusCode: 409, body: { code: 'author_root.exists' } });
    expect(await publish(3, await signedRoot(rootOf({ ada }, first, { version: 3 }), first))).toMatchObject({ statusCode: 409 });
  });
});
