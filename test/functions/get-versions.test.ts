import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/get-versions/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { uploadFirmware } from '../../lib/firmware/upload-firmware.ts';
import { registerFirmware } from '../../lib/registration/register-firmware.ts';
import { catalogueDeps, emptyCatalogue, firmwareBytes, firmwareHashes, promisedKey, storedFirmwares } from '../support/catalogue.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenFirmware } from '../support/fixtures.ts';
import { type CallAnswer, call, createIdentity, createRecordingLog } from '../support/http.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const reader = await token({ scopes: ['read'] });
beforeEach(() => emptyCatalogue(db));

interface FirmwareBody {
  id: number;
  version: string;
  download_url: string | null;
}
interface PageBody {
  items: FirmwareBody[];
  next_cursor: string | null;
}

const setup = () => {
  const log = createRecordingLog();
  const deps = { ...catalogueDeps(db), authenticate, log };
  const handler = createHandler(deps);
  const get = <Body = FirmwareBody>(id: number | string, more: object = {}) =>
    call<Body>(handler, { method: 'GET', path: '/v1/firmwares/{id}', pathParameters: { id: String(id) }, token: reader, ...more });
  const list = <Body = PageBody>(query: Record<string, string> = {}, more: object = {}) =>
    call<Body>(handler, { method: 'GET', path: '/v1/firmwares', query, token: reader, ...more });
  const draft = async (version: string, hardware_type = 'vega_mcu') => {
    const file = {
      filename: 'firmware.bin',
      size_bytes: 14,
      sha256: firmwareHashes.sha256,
      comment: '',
      created_by: 'engineer',
      request_id: 'request-1',
    };
    return (await uploadFirmware(deps, { hardware_type, version, ...file })).answer.id;
  };
  return { deps, log, handler, get, list, draft };
};

const versionsOf = ({ body }: { body: PageBody }) => body.items.map(({ version }) => version);

describe('GET /v1/firmwares/{id}', () => {
  it('200: describes a firmware, with a fresh link to exactly the registered bytes, also after an overwrite', async () => {
    const { deps, get } = setup();
    const key = 'firmwares/vega_mcu/1.0 + β/Vega #1.bin';
    const object = deps.storage.put(key, firmwareBytes);
    await registerFirmware(deps, object);
    deps.storage.put(key, Buffer.from('overwritten'));
    const [row] = await storedFirmwares(db);
    deps.clock.advance(60);
    const { statusCode, body } = await get(row?.id ?? 0);
    expect(statusCode).toBe(200);
    expect(body).toEqual({
      id: row?.id,
      hardware_type: 'vega_mcu',
      version: '1.0 + β',
      version_num: 1,
      status: 'available',
      reason: null,
      file_link: `s3://memory/${key}?versionId=${object.version_id}`,
      size_bytes: 14,
      ...firmwareHashes,
      requires: [],
      minimum_from_version_num: null,
      revisions: null,
      author_signatures: [],
      assembly_id: null,
      upload_expires_dt: null,
      comment: '',
      created_by: 's3',
      created_dt: '2026-11-24T08:00:00.000Z',
      device_count: 0,
      download_url: expect.stringMatching(/^https:/),
      download_expires_dt: '2026-11-24T09:01:00.000Z',
      storage: 'available',
    });
    expect(deps.storage.download(body.download_url ?? '')).toEqual({ status: 200, bytes: firmwareBytes });
  });

  it('200: offers no file while it is awaited, nor once it is rejected or withdrawn', async () => {
    const { deps, get, draft } = setup();
    const awaited = await draft('1.0');
    const rejected = await draft('1.1');
    await registerFirmware(deps, deps.storage.put(await promisedKey(db, '1.1'), Buffer.alloc(0)));
    const withdrawn = await givenFirmware(db);
    await db.updateTable('firmwares').set({ status: 'withdrawn', reason: 'bricks' }).where('id', '=', withdrawn.id).execute();
    const none = { download_url: null, download_expires_dt: null };
    expect((await get(awaited)).body).toMatchObject({ status: 'awaiting_upload', reason: null, ...none });
    expect((await get(rejected)).body).toMatchObject({ status: 'rejected', reason: 'The file is empty', ...none });
    expect((await get(withdrawn.id)).body).toMatchObject({ status: 'withdrawn', reason: 'bricks', ...none });
  });

  it.each(['0', '-1', '01', '1.5', 'abc', '2147483648', '99999999999999999999', "1'--", '1%00', '%zz', ' '])(
    '400: refuses the id %j',
    async (id) => {
      const { get } = setup();
      expect(await get<object>(id)).toMatchObject({
        statusCode: 400,
        body: { code: 'request.invalid', errors: [{ in: 'path', path: 'id' }] },
      });
    },
  );

  it('401, 403: only with the scope read', async () => {
    const { get, handler } = setup();
    expect((await call(handler, { method: 'GET', path: '/v1/firmwares/{id}', pathParameters: { id: '1' } })).statusCode).toBe(401);
    const others = await token({ scopes: ['firmware:write', 'devices:write', 'updates:write', 'devices:report'] });
    expect((await get(1, { token: others })).statusCode).toBe(403);
  });

  it('404: for an id that nobody has', async () => {
    const { get } = setup();
    expect(await get<object>(2_147_483_647)).toMatchObject({ statusCode: 404, body: { code: 'firmware.not_found' } });
  });

  it('500: when a stored link is of another bucket, and says no more', async () => {
    const { get } = setup();
    const { id } = await givenFirmware(db, { file_link: 's3://elsewhere/x?versionId=1' });
    const answer = await get<object>(id);
    expect(answer).toMatchObject({ statusCode: 500, body: { code: 'internal' } });
    expect(JSON.stringify(answer)).not.toContain('elsewhere');
  });

  it('503: while the database is down', async () => {
    const { deps } = setup();
    const down = createDatabase({ url: 'postgres://user:hunter2@127.0.0.1:9/none', maxConnections: 1 });
    const request = { method: 'GET', path: '/v1/firmwares/{id}', pathParameters: { id: '1' }, token: reader };
    const answer = await call(createHandler({ ...deps, db: down }), request);
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    await down.destroy();
  });

  it('keeps the signed link out of the log', async () => {
    const { deps, log, get } = setup();
    await registerFirmware(deps, deps.storage.put('firmwares/vega_mcu/1.0/a.bin', firmwareBytes));
    const [{ id } = { id: 0 }] = await storedFirmwares(db);
    const { body } = await get(id);
    expect(body.download_url).toMatch(/^https:/);
    expect(log.lines.join()).not.toContain(body.download_url);
  });
});

describe('GET /v1/firmwares', () => {
  it('200: is empty at first', async () => {
    const { list } = setup();
    expect(await list()).toMatchObject({ statusCode: 200, body: { items: [], next_cursor: null } });
  });

  it('200: the newest version_num first, whatever the versions are called; what has none comes last', async () => {
    const { list, draft } = setup();
    await draft('draft 1');
    for (const version of ['2.0', '10.0', '1.0']) await givenFirmware(db, { version });
    await draft('draft 2');
    expect(versionsOf(await list())).toEqual(['1.0', '10.0', '2.0', 'draft 2', 'draft 1']);
  });

  it('200: filters by hardware type and status, alone and together', async () => {
    const { list, draft } = setup();
    await givenFirmware(db, { version: 'mcu' });
    await givenFirmware(db, { version: 'gsm', hardware_type: 'vega_gsm' });
    await draft('mcu draft');
    await draft('gsm draft', 'vega_gsm');
    expect(versionsOf(await list({ hardware_type: 'vega_gsm' }))).toEqual(['gsm', 'gsm draft']);
    expect(versionsOf(await list({ status: 'awaiting_upload' }))).toEqual(['gsm draft', 'mcu draft']);
    expect(versionsOf(await list({ hardware_type: 'vega_mcu', status: 'available' }))).toEqual(['mcu']);
    expect(versionsOf(await list({ hardware_type: 'audio_unlock' }))).toEqual([]);
    expect(versionsOf(await list({ status: 'withdrawn' }))).toEqual([]);
  });

  it('200: pages hold every firmware once, in order, also those of several types with one version_num', async () => {
    const { list, draft } = setup();
    for (const version of ['1', '2', '3']) {
      await givenFirmware(db, { version: `mcu ${version}` });
      await givenFirmware(db, { version: `gsm ${version}`, hardware_type: 'vega_gsm' });
      await draft(`draft ${version}`);
    }
    const expected = ['gsm 3', 'mcu 3', 'gsm 2', 'mcu 2', 'gsm 1', 'mcu 1', 'draft 3', 'draft 2', 'draft 1'];
    for (const limit of [1, 2, 8, 9, 500]) {
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page: CallAnswer<PageBody> = await list({ limit: String(limit), ...(cursor !== null && { cursor }) });
        expect(page.body.items.length).toBeLessThanOrEqual(limit);
        seen.push(...versionsOf(page));
        cursor = page.body.next_cursor;
      } while (cursor !== null);
      expect(seen, `pages of ${limit}`).toEqual(expected);
    }
  });

  it('200: pages skip and repeat nothing while firmwares are added and removed', async () => {
    const { list, draft } = setup();
    for (const version of ['1', '2', '3', '4', '5', '6']) await givenFirmware(db, { version });
    const first = await list({ limit: '2' });
    await givenFirmware(db, { version: '7' });
    await draft('draft');
    await db.deleteFrom('firmwares').where('version', '=', '5').execute(); // the row that the cursor stands on
    const second = await list({ limit: '2', cursor: first.body.next_cursor ?? '' });
    await givenFirmware(db, { version: '8' });
    const third = await list({ limit: '10', cursor: second.body.next_cursor ?? '' });
    expect([first, second, third].map(versionsOf)).toEqual([
      ['6', '5'],
      ['4', '3'],
      ['2', '1', 'draft'],
    ]);
  });

  it('200: in the order that is asked for, in pages of any size, those with one version_num by their ids', async () => {
    const { list, draft } = setup();
    // mcu 1 and gsm 1 have the ordinal 1; what awaits its upload has none.
    await givenFirmware(db, { hardware_type: 'vega_mcu', version: 'mcu 1' });
    await draft('mcu soon');
    await givenFirmware(db, { hardware_type: 'vega_gsm', version: 'gsm 1' });
    await givenFirmware(db, { hardware_type: 'vega_mcu', version: 'mcu 2' });
    const walk = async (query: Record<string, string>) => {
      const versions: string[] = [];
      for (let cursor: string | null | undefined; cursor !== null; ) {
        const answer = await list({ ...query, ...(cursor && { cursor }) });
        versions.push(...versionsOf(answer));
        cursor = answer.body.next_cursor;
      }
      return versions;
    };
    const byOrdinal = ['mcu soon', 'mcu 1', 'gsm 1', 'mcu 2'];
    const byAge = ['mcu 1', 'mcu soon', 'gsm 1', 'mcu 2'];
    for (const limit of ['1', '2', '500']) {
      expect(await walk({ limit })).toEqual(byOrdinal.toReversed());
      expect(await walk({ limit, sort: 'version_num_descending' })).toEqual(byOrdinal.toReversed());
      expect(await walk({ limit, sort: 'version_num_ascending' })).toEqual(byOrdinal);
      expect(await walk({ limit, sort: 'created_dt_ascending' })).toEqual(byAge);
      expect(await walk({ limit, sort: 'created_dt_descending' })).toEqual(byAge.toReversed());
      expect(await walk({ limit, sort: 'created_dt_descending', hardware_type: 'vega_mcu' })).toEqual(['mcu 2', 'mcu soon', 'mcu 1']);
    }
    expect(await list({ sort: 'version_descending' })).toMatchObject({ statusCode: 400 });
  });

  it('200: 50 a page unless asked, and no next page when the last one is just full', async () => {
    const { list } = setup();
    for (let n = 0; n < 51; n += 1) await givenFirmware(db);
    const first = await list();
    expect(first.body.items).toHaveLength(50);
    expect((await list({ cursor: first.body.next_cursor ?? '' })).body).toMatchObject({ items: [{}], next_cursor: null });
    expect((await list({ limit: '51' })).body.next_cursor).toBeNull();
  });

  it.each([
    ['limit', '0'],
    ['limit', '501'],
    ['limit', '-1'],
    ['limit', '1.5'],
    ['limit', 'all'],
    ['limit', ''],
    ['cursor', ''],
    ['cursor', 'abc'],
    ['cursor', Buffer.from('[]').toString('base64url')],
    ['cursor', Buffer.from('{}').toString('base64url')],
    ['cursor', Buffer.from('["1","1"]').toString('base64url')],
    ['cursor', Buffer.from('[1,1,1]').toString('base64url')],
    ['cursor', Buffer.from('[2147483648,1]').toString('base64url')],
    ['cursor', Buffer.from('[1,9007199254740991]').toString('base64url')],
    ['cursor', Buffer.from('[1e300,1]').toString('base64url')],
    ['cursor', 'x'.repeat(513)],
    ['status', 'AVAILABLE'],
    ['status', ''],
    ['version', ''],
    ['version', 'x'.repeat(65)],
    ['version', '1.0\u0000'],
    ['links', 'yes'],
    ['links', ''],
    ['hardware_type', "vega_mcu' OR '1'='1"],
    ['hardware_type', ''],
    ['unknown', '1'],
  ])('400: refuses %s=%s', async (name, value) => {
    const { list } = setup();
    await givenFirmware(db);
    expect(await list<object>({ [name]: value })).toMatchObject({
      statusCode: 400,
      body: { code: 'request.invalid', errors: [{ in: 'query', path: name }] },
    });
  });

  it('401, 403: only with the scope read', async () => {
    const { list, handler } = setup();
    expect((await call(handler, { method: 'GET', path: '/v1/firmwares' })).statusCode).toBe(401);
    expect((await list({}, { token: await token({ scopes: ['firmware:write'] }) })).statusCode).toBe(403);
  });

  it('503: while the database is down', async () => {
    const { deps } = setup();
    const down = createDatabase({ url: 'postgres://user:hunter2@127.0.0.1:9/none', maxConnections: 1 });
    const answer = await call(createHandler({ ...deps, db: down }), { method: 'GET', path: '/v1/firmwares', token: reader });
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    await down.destroy();
  });

  it('200: lists while S3 is down', async () => {
    const { deps, list } = setup();
    await givenFirmware(db, { version: '1.0' });
    deps.storage.isDown = true;
    expect(versionsOf(await list())).toEqual(['1.0']);
  });
});
