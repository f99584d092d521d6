import { describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/edit-hardware-type/handler.ts';
import { createHandler as createUploadFirmware } from '../../functions/upload-firmware/handler.ts';
import { registerFirmware } from '../../lib/registration/register-firmware.ts';
import { catalogueDeps, firmwareBytes, firmwareHashes, storedFirmwares } from '../support/catalogue.ts';
import { createTestDatabase } from '../support/database.ts';
import { call, createIdentity } from '../support/http.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const engineer = await token({ scopes: ['firmware:write'] });
const deps = { ...catalogueDeps(db), authenticate };
const handler = createHandler(deps);
const uploadFirmware = createUploadFirmware(deps);

interface Body {
  id: number;
  code: string;
  errors: { path: string; message: string }[];
}
const add = (body: object) => call<Body>(handler, { method: 'POST', path: '/v1/hardware-types', token: engineer, body });
const one = (method: string, name: string, body?: unknown) =>
  call<Body>(handler, {
    ...{ method, path: '/v1/hardware-types/{name}', pathParameters: { name }, token: engineer },
    ...(body !== undefined && { body }),
  });
const upload = (hardware_type: string, version: string) =>
  call<Body>(uploadFirmware, {
    ...{ method: 'POST', path: '/v1/firmwares', token: engineer },
    body: { hardware_type, version, size_bytes: 14, sha256: firmwareHashes.sha256 },
  });
let counter = 0;
const givenType = async (more: object = {}) => {
  counter += 1;
  const name = `lamp_${counter}`;
  expect(
    await add({ name, device_kind: 'scooter', channel: 'telematics', scooter_versions: [2], max_size_bytes: 100, ...more }),
  ).toMatchObject({
    statusCode: 201,
  });
  return name;
};
const put = (name: string, version: string, bytes: Buffer = firmwareBytes) =>
  registerFirmware(deps, deps.storage.put(`firmwares/${name}/${version}/a.bin`, bytes));
const firmwaresOf = async (name: string) => (await storedFirmwares(db)).filter(({ hardware_type }) => hardware_type === name);

describe('PATCH /v1/hardware-types/{name}', () => {
  it('403: who may upload firmware does not decide how many authors have to sign it', async () => {
    const name = await givenType({ author_signatures_required: 1 });
    const change = { author_signatures_required: 0 };
    expect(await one('PATCH', name, change)).toMatchObject({ statusCode: 403, body: { code: 'auth.insufficient_scope' } });
    await put(name, '1');
    expect((await firmwaresOf(name)).map(({ status }) => status)).toEqual(['awaiting_signature']);
    const keeper = await token({ scopes: ['firmware:write', 'keys:write'] });
    const path = { path: '/v1/hardware-types/{name}', pathParameters: { name } };
    expect(await call(handler, { method: 'PATCH', ...path, token: keeper, body: change })).toMatchObject({ statusCode: 200, body: change });
  });

  it('403: where author keys need a second person, nobody alone goes around it by demanding fewer signatures', async () => {
    const name = await givenType({ author_signatures_required: 1 });
    const keeper = await token({ scopes: ['firmware:write', 'keys:write'] });
    const change = (author_signatures_required: number) =>
      call<Body>(createHandler({ ...deps, keysNeedApproval: true }), {
        ...{ method: 'PATCH', path: '/v1/hardware-types/{name}', pathParameters: { name }, token: keeper },
        body: { author_signatures_required },
      });
    expect(await change(2)).toMatchObject({ statusCode: 200, body: { author_signatures_required: 2 } });
    expect(await change(1)).toMatchObject({ statusCode: 403, body: { code: 'approval.second_person' } });
    expect(await change(2)).toMatchObject({ statusCode: 200, body: { author_signatures_required: 2 } });
  });

  it('200: changes its rules also while it is used; what is not named stays', async () => {
    const name = await givenType();
    await put(name, '1');
    const change = {
      max_size_bytes: 13,
      file_kinds: ['uf2', 'elf', 'elf'],
      version_maximum_length: 5,
      version_pattern: String.raw`\d+`,
      order: 'semver',
    };
    expect(await one('PATCH', name, change)).toMatchObject({
      statusCode: 200,
      body: { name, ...change, file_kinds: ['elf', 'uf2'], scooter_versions: [2], version_attribute: null },
    });
    expect(await one('PATCH', name, { version_attribute: '__proto__' })).toMatchObject({ statusCode: 200, body: { max_size_bytes: 13 } });
  });

  it('400: fields that make no sense together, and a pattern that is invalid or has back references', async () => {
    const name = await givenType();
    expect(await one('PATCH', name, { scooter_versions: [] })).toMatchObject({
      statusCode: 400,
      body: { errors: [{ path: 'scooter_versions' }] },
    });
    for (const version_pattern of ['(', '[', 'a{2,1}', '', String.raw`(a)\1`, '*', 'x'.repeat(129), 'a\u0000']) {
      expect(await one('PATCH', name, { version_pattern }), version_pattern).toMatchObject({
        statusCode: 400,
        body: { errors: [{ path: 'version_pattern' }] },
      });
    }
    expect(await one('PATCH', name, { version_attribute: 'a\u0000' })).toMatchObject({
      statusCode: 400,
      body: { errors: [{ path: 'version_attribute' }] },
    });
    expect(await one('PATCH', name, { name: 'other' })).toMatchObject({
      statusCode: 400,
      body: { errors: expect.arrayContaining([expect.objectContaining({ path: 'name' })]) },
    });
    expect(await one('PATCH', name, {})).toMatchObject({ statusCode: 400 });
  });

  it('409: another kind of device only while nothing uses it; 404: for a name that nobody has', async () => {
    const name = await givenType();
    const cabinet = { device_kind: 'cabinet', channel: 'iot', scooter_versions: [] };
    expect(await one('PATCH', name, cabinet)).toMatchObject({ statusCode: 200, body: cabinet });
    await put(name, '1');
    expect(await one('PATCH', name, { channel: 'telematics' })).toMatchObject({
      statusCode: 409,
      body: { code: 'hardware_type.in_use', errors: [{ path: 'channel' }] },
    });
    expect(await one('PATCH', 'hoverboard', { max_size_bytes: 1 })).toMatchObject({
      statusCode: 404,
      body: { code: 'hardware_type.not_found' },
    });
  });
});

describe('DELETE /v1/hardware-types/{name}', () => {
  it('204: deletes one that nothing uses, 404 afterwards; 409: while a firmware or a requirement refers to it', async () => {
    const [unused, used, required] = [await givenType(), await givenType(), await givenType()];
    expect(await one('DELETE', unused)).toMatchObject({ statusCode: 204, body: '' });
    expect(await one('DELETE', unused)).toMatchObject({ statusCode: 404 });
    await put(used, '1');
    await db
      .updateTable('firmwares')
      .set({ requires: JSON.stringify([{ hardware_type: required, minimum_version_num: 1 }]) })
      .execute();
    for (const name of [used, required])
      expect(await one('DELETE', name)).toMatchObject({ statusCode: 409, body: { code: 'hardware_type.in_use' } });
  });

  it('a firmware that is added at the same moment is added and the type stays, or is refused', async () => {
    for (let n = 0; n < 10; n += 1) {
      const name = await givenType();
      const [deleted, added] = await Promise.all([one('DELETE', name), upload(name, '1')]);
      expect([
        [204, 400],
        [409, 201],
      ]).toContainEqual([deleted.statusCode, added.statusCode]);
    }
  });
});

describe('the rules of a hardware type', () => {
  it('a version that its devices cannot tell is refused when it is added', async () => {
    const name = await givenType({ version_maximum_length: 5, version_pattern: String.raw`\d+\.\d+(\.\d+)?` });
    expect(await upload(name, '1.2.3')).toMatchObject({ statusCode: 201 });
    for (const version of ['1.2.34', '1', '1.2-a', 'x1.2']) {
      expect(await upload(name, version), version).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'version' }] } });
    }
    expect(await put(name, '1.2.34')).toBe('rejected');
    expect(await firmwaresOf(name)).toMatchObject([
      {},
      { reason: expect.stringMatching(/has 6 characters: the devices of lamp_\d+ can tell 5 at most/) },
    ]);
  });

  it('a pattern cannot keep the service busy', async () => {
    const name = await givenType({ version_pattern: '(a*)*(a|aa)+(a|a?)+b' });
    expect(await upload(name, 'a'.repeat(64))).toMatchObject({ statusCode: 400 });
  });

  it('files of other kinds than it takes are rejected with the reason', async () => {
    const name = await givenType({ file_kinds: ['elf', 'ihex'] });
    expect(await put(name, '1', Buffer.from('\x7fELF....', 'latin1'))).toBe('available');
    expect(await put(name, '2', Buffer.from(':10010000214601360121470136007EFE09D2190140\n'))).toBe('available');
    expect(await put(name, '3', Buffer.from('ID3 music'))).toBe('rejected');
    expect(await firmwaresOf(name)).toMatchObject([{}, {}, { reason: 'The file begins like mp3; this hardware type takes elf, ihex' }]);
  });

  it.each([
    ['an HTML page', '\n<!DOCTYPE html><html>', 'The file is an HTML page, no firmware'],
    ['a pointer of Git LFS', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'The file is a pointer of Git LFS, no firmware'],
    ['zeros', '\0'.repeat(20), 'The file is nothing but bytes 0x00, no firmware'],
    ['erased flash', '\xff'.repeat(20), 'The file is nothing but bytes 0xff, no firmware'],
    ['an error of S3', '<?xml version="1.0"?>\n<Error><Code>AccessDenied', 'The file is an error message of S3, no firmware'],
  ])('%s is refused in every type', async (_, text, reason) => {
    const name = await givenType();
    expect(await put(name, '1', Buffer.from(text, 'latin1'))).toBe('rejected');
    expect(await firmwaresOf(name)).toMatchObject([{ status: 'rejected', reason }]);
  });

  it('order: semver puts files that come at once in the order of their versions; without it in that of their registration', async () => {
    const name = await givenType({ order: 'semver' });
    for (const version of ['1.10.0', '1.2.0', '1.9.0', '1.10.0-rc.1', '2.0.0']) expect(await put(name, version)).toBe('available');
    const ordered = (await firmwaresOf(name)).toSorted((a, b) => (a.version_num ?? 0) - (b.version_num ?? 0));
    expect(ordered.map(({ version }) => version)).toEqual(['1.2.0', '1.9.0', '1.10.0-rc.1', '1.10.0', '2.0.0']);
    expect(await put(name, 'build 7')).toBe('rejected');
    const plain = await givenType();
    for (const version of ['1.10.0', '1.2.0']) await put(plain, version);
    expect(await firmwaresOf(plain)).toMatchObject([{ version_num: 1 }, { version_num: 2 }]);
  });

  it('a version that differs by case alone is rejected when a pipeline puts it', async () => {
    const name = await givenType();
    await put(name, '1.0-rc1');
    expect(await put(name, '1.0-RC1')).toBe('rejected');
    expect(await firmwaresOf(name)).toMatchObject([
      {},
      { reason: expect.stringMatching(/^The version differs only by case from 1\.0-rc1 \(firmware \d+\)$/) },
    ]);
  });
});
