import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/edit-firmware/handler.ts';
import { createHandler as createGetVersions } from '../../functions/get-versions/handler.ts';
import { createHandler as createRequestUpdate } from '../../functions/request-update/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { rejectDraft } from '../../lib/firmware/draft-queries.ts';
import { uploadFirmware } from '../../lib/firmware/upload-firmware.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import { catalogueDeps, firmwareBytes, firmwareHashes, storedFirmwares } from '../support/catalogue.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, givenFirmware } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';

const { db, takeStatements } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const engineer = await token({ scopes: ['firmware:write'] });
const all = await token();
const deps = { ...catalogueDeps(db), authenticate };
const handler = createHandler(deps);

interface Body {
  code: string;
  version: string;
  device_count: number;
  download_url: string | null;
  errors: { path: string }[];
}
const edit = (id: number, body: unknown, more: object = {}) =>
  call<Body>(handler, {
    ...{ method: 'PATCH', path: '/v1/firmwares/{id}', pathParameters: { id: String(id) }, token: engineer, body },
    ...more,
  });
const get = (id: number) =>
  call<Body>(createGetVersions(deps), { method: 'GET', path: '/v1/firmwares/{id}', pathParameters: { id: String(id) }, token: all });
const stored = async (id: number) => (await storedFirmwares(db)).find((row) => row.id === id);
const awaitingUpload = async (version: string) => {
  const file = {
    filename: 'firmware.bin',
    size_bytes: 14,
    sha256: firmwareHashes.sha256,
    comment: '',
    created_by: 'engineer',
    request_id: 'request-1',
  };
  return (await uploadFirmware(deps, { hardware_type: 'vega_mcu', version, ...file })).answer.id;
};
const reject = async (id: number) => {
  const { object_key } = await db.selectFrom('firmwares').select('object_key').where('id', '=', id).executeTakeFirstOrThrow();
  await rejectDraft(db, { id, object_key }, 'The file is empty');
};
const withdrawal = { status: 'withdrawn', reason: 'brakes too late' };

beforeEach(() => {
  takeStatements();
});

describe('PATCH /v1/firmwares/{id}', () => {
  it('200: withdraws a firmware with a reason, in one transaction with its line of the audit; it has no link any more', async () => {
    const file_link = deps.storage.toLink(deps.storage.put('firmwares/vega_mcu/1.4.2/firmware.bin', firmwareBytes));
    const firmware = await givenFirmware(db, { file_link });
    expect((await get(firmware.id)).body.download_url).toMatch(/^https:/);
    takeStatements();
    const answer = await edit(firmware.id, withdrawal);
    expect(takeStatements().map((statement) => statement.split(' ')[0])).toEqual(['begin', 'select', 'update', 'insert', 'commit']);
    const { id, version, version_num } = firmware;
    expect(answer).toMatchObject({ statusCode: 200, body: { id, version, version_num, file_link, ...withdrawal, device_count: 0 } });
    expect(await get(id)).toMatchObject({ statusCode: 200, body: { ...withdrawal, download_url: null, download_expires_dt: null } });
  });

  it('200: the same again answers the same; another reason does not replace the first', async () => {
    const { id } = await givenFirmware(db);
    const first = await edit(id, withdrawal);
    expect((await edit(id, withdrawal)).body).toEqual(first.body);
    expect((await edit(id, { ...withdrawal, reason: 'no longer wanted' })).body).toEqual(first.body);
    expect(await stored(id)).toMatchObject(withdrawal);
  });

  it('200: changes the comment of a firmware in any status, and nothing else', async () => {
    const available = await givenFirmware(db);
    const withdrawn = await givenFirmware(db);
    await edit(withdrawn.id, withdrawal);
    const rejected = await awaitingUpload('rejected');
    await reject(rejected);
    for (const id of [available.id, withdrawn.id, rejected, await awaitingUpload('awaited')]) {
      const before = await stored(id);
      expect(await edit(id, { comment: 'for the brakes' })).toMatchObject({ statusCode: 200, body: { comment: 'for the brakes' } });
      expect(await stored(id)).toEqual({ ...before, comment: 'for the brakes' });
      expect(await edit(id, { comment: '' })).toMatchObject({ statusCode: 200, body: { comment: '' } });
    }
  });

  it('200: comment and withdrawal at once', async () => {
    const { id } = await givenFirmware(db);
    expect(await edit(id, { comment: 'see 1.5', ...withdrawal })).toMatchObject({ body: { comment: 'see 1.5', ...withdrawal } });
  });

  it('200: tells on how many devices it still runs', async () => {
    const { id, version } = await givenFirmware(db);
    const [external_id = ''] = await givenDevices(db, 2);
    await confirmUpdate(deps, [confirmation({ external_id, version })]);
    expect((await edit(id, withdrawal)).body.device_count).toBe(1);
    expect((await get(id)).body.device_count).toBe(1);
  });

  it('a withdrawn firmware is refused by new updates, and is newer than nothing', async () => {
    const newest = await givenFirmware(db);
    const [external_id = ''] = await givenDevices(db);
    const request = () =>
      call<Body>(createRequestUpdate({ ...deps, advances: new InMemoryQueue() }), {
        method: 'POST',
        path: '/v1/updates',
        token: all,
        body: { firmware_id: newest.id, targets: { external_ids: [external_id] } },
      });
    await edit(newest.id, withdrawal);
    expect(await request()).toMatchObject({ statusCode: 422, body: { code: 'firmware.not_available', firmware_status: 'withdrawn' } });
  });

  it('409: what is not available cannot be withdrawn; nothing is changed, the comment neither', async () => {
    const awaited = await awaitingUpload('not yet');
    const rejected = await awaitingUpload('never');
    await reject(rejected);
    for (const [id, firmware_status] of [[awaited, 'awaiting_upload'] as const, [rejected, 'rejected'] as const]) {
      const before = await stored(id);
      const answer = await edit(id, { comment: 'x', ...withdrawal });
      const problem = { code: 'firmware.not_withdrawable', firmware_status, errors: [{ in: 'body', path: 'status' }] };
      expect(answer).toMatchObject({ statusCode: 409, body: problem });
      expect(await stored(id)).toEqual(before);
    }
  });

  it('200 for all of ten withdrawals at one moment, and one of their reasons stays', async () => {
    const { id } = await givenFirmware(db);
    const reasons = Array.from({ length: 10 }, (_, i) => `reason ${i}`);
    const answers = await Promise.all(reasons.map((reason) => edit(id, { ...withdrawal, reason })));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(10).fill(200));
    const told = new Set(answers.map(({ body }) => (body as unknown as { reason: string }).reason));
    expect(told).toEqual(new Set([(await stored(id))?.reason]));
  });

  it.each<[string, unknown, string[]]>([
    ['nothing', {}, ['']],
    ['a withdrawal without a reason', { status: 'withdrawn' }, ['reason']],
    ['an empty reason', { status: 'withdrawn', reason: '' }, ['reason']],
    ['a reason for nothing', { reason: 'because' }, ['reason']],
    ['a withdrawal taken back', { status: 'available', reason: 'it was good' }, ['status']],
    ['other bytes', { comment: 'x', sha256: firmwareHashes.sha256 }, ['sha256']],
    [
      'another version and file, and an ordinal that is none',
      { ...withdrawal, version: '9', version_num: 0, file_link: 's3://x' },
      ['file_link', 'version', 'version_num'],
    ],
    ['a comment too long', { comment: 'x'.repeat(2_001) }, ['comment']],
    ['what PostgreSQL cannot store', { comment: '\u0000', status: 'withdrawn', reason: '\ud800' }, ['comment', 'reason']],
    ['a list', [], ['']],
  ])('400: refuses %s, and changes nothing', async (_, body, paths) => {
    const { id } = await givenFirmware(db);
    const before = await stored(id);
    takeStatements();
    const answer = await edit(id, body);
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
    expect([...new Set(answer.body.errors.map(({ path }) => path))].toSorted()).toEqual(paths);
    expect(takeStatements()).toEqual([]);
    expect(await stored(id)).toEqual(before);
  });

  it('400: an id that is not valid', async () => {
    expect(await edit(0, { comment: 'x' })).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'path', path: 'id' }] } });
  });

  it('401, 403: only with the scope firmware:write', async () => {
    const { id } = await givenFirmware(db);
    const { token: _, ...request } = { method: 'PATCH', path: '/v1/firmwares/{id}', pathParameters: { id: String(id) }, token: '' };
    expect(await call(handler, { ...request, body: withdrawal })).toMatchObject({ statusCode: 401 });
    const others = await token({ scopes: ['read', 'devices:write', 'updates:write', 'devices:report'] });
    expect(await edit(id, withdrawal, { token: others })).toMatchObject({ statusCode: 403 });
    expect(await stored(id)).toMatchObject({ status: 'available' });
  });

  it('404: for an id that nobody has', async () => {
    expect(await edit(2_147_483_647, withdrawal)).toMatchObject({ statusCode: 404, body: { code: 'firmware.not_found' } });
    expect(await edit(2_147_483_647, { comment: 'x' })).toMatchObject({ statusCode: 404, body: { code: 'firmware.not_found' } });
  });

  it('413, 415: too large, and in another format', async () => {
    expect(await edit(1, { comment: 'x'.repeat(65 * 1024) })).toMatchObject({ statusCode: 413 });
    expect(await edit(1, 'comment=x', { headers: { 'content-type': 'text/plain' } })).toMatchObject({ statusCode: 415 });
  });

  it('503: while the database is down', async () => {
    const down = createDatabase({ url: 'postgres://user:hunter2@127.0.0.1:9/none', maxConnections: 1 });
    const request = { method: 'PATCH', path: '/v1/firmwares/{id}', pathParameters: { id: '1' }, token: engineer, body: withdrawal };
    expect(await call(createHandler({ ...deps, db: down }), request)).toMatchObject({ statusCode: 503, headers: { 'retry-after': '2' } });
    await down.destroy();
  });
});
