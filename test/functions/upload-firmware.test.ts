import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/upload-firmware/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { ObjectCreatedMessage } from '../../lib/firmware/object-created.ts';
import { registerFirmware } from '../../lib/registration/register-firmware.ts';
import { catalogueDeps, emptyCatalogue, firmwareBytes, firmwareHashes, promisedKey, storedFirmwares } from '../support/catalogue.ts';
import { createTestDatabase } from '../support/database.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const engineer = await token({ scopes: ['firmware:write'], subject: 'engineer' });
beforeEach(() => emptyCatalogue(db));

const valid = { hardware_type: 'vega_mcu', version: '1.4.2', comment: 'brake', size_bytes: 14, sha256: firmwareHashes.sha256 };

interface UploadBody {
  id: number;
  upload: { url: string; headers: Record<string, string> };
}

const setup = () => {
  const log = createRecordingLog();
  const deps = { ...catalogueDeps(db), authenticate, log };
  const handler = createHandler(deps);
  const post = <Body = UploadBody>(body: unknown, more: object = {}) =>
    call<Body>(handler, { method: 'POST', path: '/v1/firmwares', token: engineer, body, ...more });
  return { deps, log, post };
};

describe('POST /v1/firmwares', () => {
  it('201: reserves the version and answers it with the link that takes exactly these bytes', async () => {
    const { deps, post } = setup();
    const { statusCode, headers, body } = await post(valid);
    expect(statusCode).toBe(201);
    expect(headers['location']).toBe(`/v1/firmwares/${body.id}`);
    expect(body).toEqual({
      id: expect.any(Number),
      hardware_type: 'vega_mcu',
      version: '1.4.2',
      version_num: null,
      status: 'awaiting_upload',
      reason: null,
      file_link: null,
      size_bytes: 14,
      sha256: firmwareHashes.sha256,
      sha1: null,
      md5: null,
      requires: [],
      minimum_from_version_num: null,
      revisions: null,
      author_signatures: [],
      assembly_id: null,
      upload_expires_dt: '2026-11-24T09:00:00.000Z',
      comment: 'brake',
      created_by: 'engineer',
      created_dt: '2026-11-24T08:00:00.000Z',
      look_alikes: [],
      upload: {
        method: 'PUT',
        url: expect.stringMatching(/firmwares\/vega_mcu\/1\.4\.2\/[0-9a-f-]{36}\/firmware\.bin/),
        headers: {
          'content-length': '14',
          'if-none-match': '*',
          'x-amz-checksum-sha256': 'CpNTkR4avuraGIYSBhEBg+iS/eKqkTvwfC+qG1POPK0=',
        },
        expires_dt: '2026-11-24T09:00:00.000Z',
      },
    });
    expect(deps.storage.upload(body.upload, firmwareBytes).status).toBe(200);
    expect(await storedFirmwares(db)).toMatchObject([
      {
        id: body.id,
        status: 'awaiting_upload',
        object_key: expect.stringMatching(/^firmwares\/vega_mcu\/1\.4\.2\/[0-9a-f-]{36}\/firmware\.bin$/),
      },
    ]);
  });

  it('201: takes texts of any kind as they are', async () => {
    const { post } = setup();
    const version = "1'; DROP TABLE firmwares; --";
    const filename = '<b>100% 版本 ?versionId=1#.bin';
    expect((await post({ ...valid, version, filename, comment: '"; \n💡', sha256: firmwareHashes.sha256.toUpperCase() })).statusCode).toBe(
      201,
    );
    expect(await storedFirmwares(db)).toMatchObject([{ version, comment: '"; \n💡', sha256: firmwareHashes.sha256 }]);
    const [{ object_key } = { object_key: '' }] = await storedFirmwares(db);
    expect(object_key.split('/')).toEqual(['firmwares', 'vega_mcu', version, expect.any(String), filename]);
  });

  it('200: the same request again, while the file is awaited, gets a fresh link and changes nothing else', async () => {
    const { deps, post } = setup();
    const first = await post(valid);
    const before = await storedFirmwares(db);
    deps.clock.advance(7_200);
    const second = await post({ ...valid, comment: 'another', sha256: firmwareHashes.sha256.toUpperCase() });
    expect(second).toMatchObject({ statusCode: 200, body: { id: first.body.id, upload: { expires_dt: '2026-11-24T11:00:00.000Z' } } });
    expect(second.body.upload.url).not.toBe(first.body.upload.url);
    expect(deps.storage.upload(second.body.upload, firmwareBytes).status).toBe(200);
    expect(await storedFirmwares(db)).toEqual(before.map((row) => ({ ...row, upload_expires_dt: new Date('2026-11-24T11:00:00.000Z') })));
  });

  it.each([
    ['another SHA-256', { sha256: 'b'.repeat(64) }],
    ['another length', { size_bytes: 15 }],
    ['another file name', { filename: 'other.bin' }],
    ['another requirement', { requires: [{ hardware_type: 'vega_gsm', minimum_version_num: 3 }] }],
    ['another ordinal', { version_num: 9 }],
  ])('200: a request with %s replaces the promise while the file is awaited; nothing comes in by the former link', async (_, change) => {
    const { deps, post } = setup();
    const first = await post(valid);
    const second = await post({ ...valid, ...change, comment: 'corrected' });
    expect(second).toMatchObject({ statusCode: 200, body: { id: first.body.id, comment: 'corrected' } });
    expect(await storedFirmwares(db)).toMatchObject([{ id: first.body.id, status: 'awaiting_upload', comment: 'corrected' }]);
    const { object } = deps.storage.upload(first.body.upload, firmwareBytes);
    expect(await registerFirmware(deps, object ?? { key: '', version_id: '' })).toBe('not_awaited');
    expect(await storedFirmwares(db)).toMatchObject([{ id: first.body.id, status: 'awaiting_upload', comment: 'corrected' }]);
  });

  /** What a queue brings, given to the function that reads it. */
  const register = async (deps: ReturnType<typeof setup>['deps']) => {
    for (const message of deps.registrations.take()) {
      for (const object of ObjectCreatedMessage.parse(message)) await registerFirmware(deps, object);
    }
  };

  it('200: a file whose message from S3 was lost is found by the same request, which sends the message again, and gets no link', async () => {
    const { deps, post } = setup();
    const { body } = await post({ ...valid, filename: 'a b+100%.bin' });
    deps.storage.upload(body.upload, firmwareBytes);
    const again = await post({ ...valid, filename: 'a b+100%.bin' });
    expect(again).toMatchObject({ statusCode: 200, body: { id: body.id, status: 'awaiting_upload', upload: null } });
    await post({ ...valid, filename: 'a b+100%.bin' });
    expect(deps.registrations.sent).toHaveLength(2);
    await register(deps);
    expect(await storedFirmwares(db)).toMatchObject([{ id: body.id, status: 'available', version_num: 1 }]);
  });

  it('200: so is the file of a lost firmware, once it was sent again', async () => {
    const { deps, post } = setup();
    const { body } = await post(valid);
    const { object } = deps.storage.upload(body.upload, firmwareBytes);
    if (!object) throw new Error('S3 took nothing');
    await registerFirmware(deps, object);
    await db.updateTable('firmwares').set({ status: 'lost' }).execute();
    deps.storage.remove(object);
    const link = await post(valid);
    expect(deps.storage.upload(link.body.upload, firmwareBytes).status).toBe(200);
    expect(await post(valid)).toMatchObject({ statusCode: 200, body: { id: body.id, status: 'lost', upload: null } });
    await register(deps);
    expect(await storedFirmwares(db)).toMatchObject([{ id: body.id, status: 'available', version_num: 1 }]);
  });

  it('503: a file that is there, while the queue takes nothing: the same request goes on later', async () => {
    const { deps, post } = setup();
    const { body } = await post(valid);
    deps.storage.upload(body.upload, firmwareBytes);
    deps.registrations.failures = 1;
    expect(await post<object>(valid)).toMatchObject({ statusCode: 503, body: { code: 'queue.unavailable' } });
    expect(await post(valid)).toMatchObject({ statusCode: 200, body: { upload: null } });
    await register(deps);
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'available' }]);
  });

  it('200: a file that was sent for another promise is not taken for it', async () => {
    const { deps, post } = setup();
    const { body } = await post(valid);
    deps.storage.upload(body.upload, firmwareBytes);
    const other = await post({ ...valid, sha256: 'b'.repeat(64) });
    expect(other).toMatchObject({ statusCode: 200, body: { upload: { method: 'PUT' } } });
    expect(deps.registrations.sent).toEqual([]);
  });

  it('200: the same bytes again after success answer the firmware and no upload, also under another comment and file name and while S3 is down', async () => {
    const { deps, post } = setup();
    const { body } = await post(valid);
    const { object } = deps.storage.upload(body.upload, firmwareBytes);
    await registerFirmware(deps, object ?? { key: '', version_id: '' });
    const before = await storedFirmwares(db);
    deps.storage.isDown = true;
    const again = await post({ ...valid, comment: 'another run', filename: 'build-17.bin' });
    expect(again).toMatchObject({
      statusCode: 200,
      body: { id: body.id, status: 'available', version_num: 1, comment: 'brake', upload: null },
    });
    expect(await storedFirmwares(db)).toEqual(before);
  });

  it.each([
    ['another SHA-256', { sha256: 'b'.repeat(64) }],
    ['another length', { size_bytes: 15 }],
    ['another requirement', { minimum_from_version_num: 1 }],
    ['another ordinal', { version_num: 9 }],
  ])('409: refuses a request with %s after success, and names the existing one', async (_, change) => {
    const { deps, post } = setup();
    const { body } = await post(valid);
    const { object } = deps.storage.upload(body.upload, firmwareBytes);
    await registerFirmware(deps, object ?? { key: '', version_id: '' });
    const before = await storedFirmwares(db);
    expect(await post<object>({ ...valid, ...change })).toMatchObject({
      statusCode: 409,
      body: { code: 'firmware.exists', firmware_id: body.id, firmware_status: 'available', errors: [{ in: 'body', path: 'version' }] },
    });
    expect(await storedFirmwares(db)).toEqual(before);
  });

  it('409: refuses the same request again once the version is withdrawn', async () => {
    const { deps, post } = setup();
    const { body } = await post(valid);
    const { object } = deps.storage.upload(body.upload, firmwareBytes);
    await registerFirmware(deps, object ?? { key: '', version_id: '' });
    await db.updateTable('firmwares').set({ status: 'withdrawn' }).execute();
    expect(await post<object>(valid)).toMatchObject({
      statusCode: 409,
      body: { code: 'firmware.exists', firmware_id: body.id, firmware_status: 'withdrawn' },
    });
  });

  it('200: a version that was rejected can be requested again, and a late event about the rejected file changes nothing', async () => {
    const { deps, post } = setup();
    const { body } = await post(valid);
    const empty = deps.storage.put(await promisedKey(db, '1.4.2'), Buffer.alloc(0));
    expect(await registerFirmware(deps, empty)).toBe('rejected');
    const again = await post(valid);
    expect(again).toMatchObject({ statusCode: 200, body: { id: body.id, status: 'awaiting_upload', reason: null } });
    expect(await registerFirmware(deps, empty)).toBe('not_awaited');
    const { object } = deps.storage.upload(again.body.upload, firmwareBytes);
    expect(await registerFirmware(deps, object ?? { key: '', version_id: '' })).toBe('available');
  });

  it('200: the same bytes bring back a firmware whose file is lost; others are refused', async () => {
    const { deps, post } = setup();
    const { body } = await post(valid);
    const { object } = deps.storage.upload(body.upload, firmwareBytes);
    await registerFirmware(deps, object ?? { key: '', version_id: '' });
    await db.updateTable('firmwares').set({ status: 'lost', reason: 'FILE_LOST' }).execute();
    deps.storage.remove(object ?? { key: '', version_id: '' });
    expect(await post<object>({ ...valid, sha256: 'b'.repeat(64) })).toMatchObject({ statusCode: 409, body: { firmware_status: 'lost' } });
    const again = await post(valid);
    expect(again).toMatchObject({ statusCode: 200, body: { id: body.id, status: 'lost' } });
    const { object: anew } = deps.storage.upload(again.body.upload, firmwareBytes);
    expect(await registerFirmware(deps, anew ?? { key: '', version_id: '' })).toBe('available');
    expect(await storedFirmwares(db)).toMatchObject([
      {
        status: 'available',
        reason: null,
        version_num: 1,
        file_link: deps.storage.toLink(anew ?? { key: '', version_id: '' }),
        upload_expires_dt: null,
      },
    ]);
  });

  it.each(['1.4.2-RC1', 'v1.4.2-rc1', 'V1.4.2-rc1'])('409: refuses %s beside 1.4.2-rc1, naming it', async (version) => {
    const { post } = setup();
    const { body } = await post({ ...valid, version: '1.4.2-rc1' });
    expect(await post<object>({ ...valid, version })).toMatchObject({
      statusCode: 409,
      body: { code: 'firmware.look_alike', firmware_id: body.id, firmware_version: '1.4.2-rc1', errors: [{ in: 'body', path: 'version' }] },
    });
    expect(await storedFirmwares(db)).toHaveLength(1);
  });

  it('201: takes a version whose look-alike was promised and has expired, and warns of those that differ by zeros or build metadata', async () => {
    const { deps, post } = setup();
    await post({ ...valid, version: 'V1.4.2' });
    deps.clock.advance(3_601);
    const { body } = await post(valid);
    const zeros = await post<{ look_alikes: object[] }>({ ...valid, version: '1.4.02' });
    expect(zeros).toMatchObject({
      statusCode: 201,
      body: { look_alikes: [{ firmware_id: body.id, version: '1.4.2', difference: 'differs only by zeros' }] },
    });
  });

  it('version_num by request: 409 when another firmware has it, and it is free again when the promise has expired', async () => {
    const { deps, post } = setup();
    expect(await post({ ...valid, version_num: 7 })).toMatchObject({ statusCode: 201, body: { version_num: 7 } });
    const other = { ...valid, version: '1.5', version_num: 7 };
    expect(await post<object>(other)).toMatchObject({
      statusCode: 409,
      body: { code: 'firmware.version_num_taken', errors: [{ in: 'body', path: 'version_num' }] },
    });
    deps.clock.advance(3_601);
    expect(await post(other)).toMatchObject({ statusCode: 201, body: { version_num: 7 } });
    const { object } = deps.storage.upload((await post({ ...valid, version: '1.6' })).body.upload, firmwareBytes);
    await registerFirmware(deps, object ?? { key: '', version_id: '' });
    expect(await storedFirmwares(db)).toMatchObject([{ version_num: null }, { version_num: 7 }, { version: '1.6', version_num: 8 }]);
  });

  it('201: the same version of another hardware type is another firmware', async () => {
    const { post } = setup();
    await post(valid);
    expect((await post({ ...valid, hardware_type: 'vega_gsm' })).statusCode).toBe(201);
  });

  it('400: names every wrong field and stores nothing', async () => {
    const { post } = setup();
    const wrong = { hardware_type: 'Vega', version: 'a/b', filename: '..', comment: 5, size_bytes: 0, sha256: 'abc', extra: 1 };
    const { statusCode, body } = await post<{ errors: { in: string; path: string }[] }>(wrong);
    expect(statusCode).toBe(400);
    expect(new Set(body.errors.map((error) => `${error.in} ${error.path}`))).toEqual(
      new Set(['body hardware_type', 'body version', 'body filename', 'body comment', 'body size_bytes', 'body sha256', 'body extra']),
    );
    expect(await storedFirmwares(db)).toEqual([]);
  });

  it.each([
    ['no hardware type', { hardware_type: undefined }],
    ['no version', { version: undefined }],
    ['no length', { size_bytes: undefined }],
    ['no SHA-256', { sha256: undefined }],
    ['a length that is text', { size_bytes: '14' }],
    ['a length with a fraction', { size_bytes: 1.5 }],
    ['a length beyond all numbers', { size_bytes: 1e300 }],
    ['a null', { version: null }],
    ['a version with a NUL', { version: '1\u0000' }],
    ['a version that is half a character', { version: '1\ud83d' }],
    ['a comment with a NUL', { comment: 'a\u0000b' }],
    ['a comment that is half a character', { comment: '\udc00' }],
    ['an unknown hardware type', { hardware_type: 'hoverboard' }],
    ['a hardware type with the name of a property', { hardware_type: 'constructor' }],
    ['a file a byte too large for its type', { size_bytes: 16 * 1024 * 1024 + 1 }],
  ])('400: refuses %s, and stores nothing', async (_, change) => {
    const { post } = setup();
    const field = Object.keys(change)[0];
    expect(await post<object>({ ...valid, ...change })).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'body', path: field }] } });
    expect(await storedFirmwares(db)).toEqual([]);
  });

  it('201: takes a file that is just not too large for its type', async () => {
    const { post } = setup();
    expect((await post({ ...valid, size_bytes: 16 * 1024 * 1024 })).statusCode).toBe(201);
  });

  it.each([['[]'], ['null'], ['"text"'], ['{'], ['']])('400: refuses a body that is %j', async (body) => {
    const { post } = setup();
    expect((await post<object>(body)).statusCode).toBe(400);
  });

  it('401: without a token', async () => {
    const { deps } = setup();
    const answer = await call(createHandler(deps), { method: 'POST', path: '/v1/firmwares', body: valid });
    expect(answer).toMatchObject({ statusCode: 401, body: { code: 'auth.missing_token' } });
    expect(await storedFirmwares(db)).toEqual([]);
  });

  it('403: with every scope but firmware:write', async () => {
    const { post } = setup();
    const reader = await token({ scopes: ['read', 'devices:write', 'updates:write', 'devices:report'] });
    expect((await post(valid, { token: reader })).statusCode).toBe(403);
    expect(await storedFirmwares(db)).toEqual([]);
  });

  it('413: refuses a body of more than 64 KiB', async () => {
    const { post } = setup();
    expect((await post({ ...valid, comment: 'x'.repeat(64 * 1024) })).statusCode).toBe(413);
  });

  it('415: refuses a body that is no JSON', async () => {
    const { post } = setup();
    expect((await post('hardware_type=vega_mcu', { headers: { 'content-type': 'application/x-www-form-urlencoded' } })).statusCode).toBe(
      415,
    );
  });

  it('500: tells nothing about an unexpected failure, and the same request again goes on', async () => {
    const { deps, post } = setup();
    const storage = {
      probe: async () => {},
      findLatest: async () => undefined,
      signUpload: async () => {
        throw new Error('secret-of-the-signer');
      },
    };
    const broken = createHandler({ ...deps, storage });
    const answer = await call(broken, { method: 'POST', path: '/v1/firmwares', token: engineer, body: valid });
    expect(answer).toMatchObject({ statusCode: 500, body: { code: 'internal' } });
    expect(JSON.stringify(answer)).not.toContain('secret-of-the-signer');
    expect((await post(valid)).statusCode).toBe(200);
  });

  it('503: while the database is down', async () => {
    const { deps } = setup();
    const down = createDatabase({ url: 'postgres://user:hunter2@127.0.0.1:9/none', maxConnections: 1 });
    const answer = await call(createHandler({ ...deps, db: down }), {
      method: 'POST',
      path: '/v1/firmwares',
      token: engineer,
      body: valid,
    });
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    await down.destroy();
  });

  it('503: while S3 is down, and reserves nothing: the same request afterwards is the first one', async () => {
    const { deps, post } = setup();
    deps.storage.isDown = true;
    expect(await post<object>(valid)).toMatchObject({
      statusCode: 503,
      headers: { 'retry-after': expect.stringMatching(/^[1-9]\d*$/) },
      body: { code: 'storage.unavailable' },
    });
    expect(await storedFirmwares(db)).toEqual([]);
    deps.storage.isDown = false;
    expect((await post(valid)).statusCode).toBe(201);
  });

  it('400: is told what is wrong also while S3 is down', async () => {
    const { deps, post } = setup();
    deps.storage.isDown = true;
    expect((await post({ ...valid, hardware_type: 'hoverboard' })).statusCode).toBe(400);
  });

  it('keeps the link and the token out of the log', async () => {
    const { log, post } = setup();
    const { body } = await post(valid);
    expect(log.lines.join()).not.toContain(body.upload.url);
    expect(log.lines.join()).not.toContain(engineer);
  });
});
