import { X509Certificate } from 'node:crypto';
import { compactVerify, createLocalJWKSet, decodeProtectedHeader } from 'jose';
import { describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/get-manifest/handler.ts';
import { createManifestSigner, parseManifestKeys, toPublicKeys } from '../../lib/firmware/manifest.ts';
import { createManifestKeys, createPackageKeys } from '../../ops/signing-keys.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, givenFirmware } from '../support/fixtures.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';
import { createUpdateService } from '../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const reader = await token({ scopes: ['read'] });
const service = createUpdateService(db);
const former = parseManifestKeys(createManifestKeys().MANIFEST_SIGNING_KEYS).keys[0];
const current = parseManifestKeys(createManifestKeys().MANIFEST_SIGNING_KEYS).keys[0];
const keys = parseManifestKeys(JSON.stringify({ keys: [current, former] }));
const [certificate, formerCertificate] = [createPackageKeys().PACKAGE_CERTIFICATES, createPackageKeys().PACKAGE_CERTIFICATES];
const publicKeys = toPublicKeys(keys, `${certificate}${formerCertificate}`);
const deps = {
  db,
  authenticate,
  log: createRecordingLog(),
  signManifest: createManifestSigner(async () => keys, service.clock.now),
  readPublicKeys: async () => publicKeys,
};
const handler = createHandler(deps);

const get = (id: number, more: object = {}) =>
  call<{ manifest: string; expires_dt: string }>(handler, {
    ...{ method: 'GET', path: '/v1/firmwares/{id}/manifest', pathParameters: { id: String(id) }, token: reader },
    ...more,
  });
const getKeys = () => call<typeof publicKeys>(handler, { method: 'GET', path: '/v1/keys' });
/** By the keys that anybody can get. */
const claimsOf = async (manifest: string) => {
  const { body } = await getKeys();
  const { payload } = await compactVerify(manifest, createLocalJWKSet({ keys: body.keys }));
  return JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown> & { counter: number };
};

describe('GET /v1/firmwares/{id}/manifest', () => {
  it('200: says all of a firmware that a device needs to know, signed by the present key', async () => {
    const requires = [{ hardware_type: 'vega_gsm', minimum_version_num: 1 }];
    const firmware = await givenFirmware(db, { requires, minimum_from_version_num: 1 });
    takeStatements();
    const { statusCode, body } = await get(firmware.id);
    expect(takeStatements()).toHaveLength(1);
    expect(statusCode).toBe(200);
    expect(body.expires_dt).toBe('2026-12-01T08:00:00.000Z');
    expect(decodeProtectedHeader(body.manifest)).toEqual({ alg: 'EdDSA', kid: current.kid, typ: 'firmware-manifest+jwt' });
    expect(await claimsOf(body.manifest)).toEqual({
      hardware_type: 'vega_mcu',
      version: firmware.version,
      version_num: firmware.version_num,
      size_bytes: firmware.size_bytes,
      sha256: firmware.sha256,
      requires,
      minimum_from_version_num: 1,
      author_signatures: [],
      parts: [],
      allow_downgrade: false,
      counter: expect.any(Number),
      iat: 1_795_507_200,
      exp: 1_796_112_000,
    });
  });

  it('200: the counter is higher for what became available later, stays when asked again, and grows with every update requested', async () => {
    const [older, newer] = [await givenFirmware(db), await givenFirmware(db)];
    const counterOf = async (id: number) => (await claimsOf((await get(id)).body.manifest)).counter;
    const [first, second] = [await counterOf(older.id), await counterOf(newer.id)];
    expect(second).toBeGreaterThan(first);
    expect(await counterOf(older.id)).toBe(first);
    const external_ids = await givenDevices(db, 1);
    await service.request({ firmware_id: older.id, targets: { external_ids } });
    const raised = await counterOf(older.id);
    expect(raised).toBeGreaterThan(second);
    expect(await counterOf(newer.id)).toBe(second);
  });

  it('404: an unknown firmware', async () => {
    expect(await get(2_147_483_647)).toMatchObject({ statusCode: 404, body: { code: 'firmware.not_found' } });
  });

  it('422: one that is withdrawn', async () => {
    const { id } = await givenFirmware(db);
    await db.updateTable('firmwares').set({ status: 'withdrawn' }).where('id', '=', id).execute();
    expect(await get(id)).toMatchObject({ statusCode: 422, body: { code: 'firmware.not_available', firmware_status: 'withdrawn' } });
  });

  it('401 and 403: without a token, and without the right', async () => {
    expect(await get(1, { token: undefined })).toMatchObject({ statusCode: 401 });
    expect(await get(1, { token: await token({ scopes: ['updates:write'] }) })).toMatchObject({ statusCode: 403 });
  });
});

describe('GET /v1/keys', () => {
  it('200: the present and the former keys to everybody, and no private one', async () => {
    const { statusCode, headers, body } = await getKeys();
    expect({ statusCode, cache: headers['cache-control'] }).toEqual({ statusCode: 200, cache: 'public, max-age=300' });
    expect(body.keys.map(({ kid }) => kid)).toEqual([current.kid, former.kid]);
    expect(body.keys.map((key) => Object.keys(key).toSorted())).toEqual(body.keys.map(() => ['alg', 'crv', 'kid', 'kty', 'use', 'x']));
    expect(body.package_certificates.map((pem) => new X509Certificate(pem).fingerprint256)).toEqual(
      [certificate, formerCertificate].map((pem) => new X509Certificate(pem).fingerprint256),
    );
    expect(JSON.stringify(body)).not.toContain(current.d);
  });
});

describe('the keys that are configured', () => {
  it.each([
    ['no JSON', 'secret-but-no-json'],
    ['no private key', JSON.stringify({ keys: [{ ...current, d: undefined }] })],
    ['no key id', JSON.stringify({ keys: [{ ...current, kid: undefined }] })],
    ['another curve', JSON.stringify({ keys: [{ ...current, crv: 'X25519' }] })],
    ['none', '{"keys":[]}'],
  ])('are refused at the start of a function, without being printed: %s', (_, text) => {
    expect(() => parseManifestKeys(text)).toThrow(
      /^MANIFEST_SIGNING_KEYS is no JWK set of Ed25519 keys with a kid, the first of them private$/,
    );
  });
});
