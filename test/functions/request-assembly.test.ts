import { describe, expect, it } from 'vitest';
import { createHandler as createGetHandler } from '../../functions/get-assemblies/handler.ts';
import { createHandler } from '../../functions/request-assembly/handler.ts';
import { editFirmware } from '../../lib/firmware/edit-firmware.ts';
import { createAssemblyService } from '../support/assembly-service.ts';
import { createTestDatabase } from '../support/database.ts';
import { actor } from '../support/fixtures.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const writer = await token({ scopes: ['firmware:write'], subject: 'engineer' });
const reader = await token({ scopes: ['read'], subject: 'reader' });

let counter = 0;
const setup = async () => {
  const service = createAssemblyService(db);
  const deps = { ...service.deps, authenticate, log: createRecordingLog() };
  const parts = await service.givenParts();
  counter += 1;
  const body = { hardware_type: 'cabinet', version: `1.${counter}`, parts: parts.map(({ id }) => ({ firmware_id: id })) };
  const post = (fields: Record<string, unknown> = {}, more: object = {}) =>
    call(createHandler(deps), { method: 'POST', path: '/v1/assemblies', body: { ...body, ...fields }, token: writer, ...more });
  const get = (path: string, more: object = {}) => call(createGetHandler(deps), { method: 'GET', path, token: reader, ...more });
  return { service, deps, parts, body, post, get };
};

const stored = async () => ({
  firmwares: (await db.selectFrom('firmwares').select('id').execute()).length,
  assemblies: (await db.selectFrom('assemblies').select('id').execute()).length,
});

describe('POST /v1/assemblies', () => {
  it('202: reserves the version, promises the package and says where to look', async () => {
    const { service, parts, post, body } = await setup();
    const answer = await post({ comment: 'autumn' }, { headers: { 'X-Request-Id': 'request-of-engineer' } });
    const { id, firmware_id } = answer.body as { id: number; firmware_id: number };
    expect(answer).toMatchObject({ statusCode: 202, headers: { location: `/v1/assemblies/${id}` } });
    expect(answer.body).toEqual({
      ...{ id, status: 'IN_PROGRESS', reason: null, firmware_id, hardware_type: 'cabinet', version: body.version, version_num: null },
      ...{ size_bytes: null, sha256: null, requires: [], minimum_from_version_num: null, hardware_compatibility: ['1.0'], signed: true },
      parts: parts.map(({ id: part, hardware_type, version, version_num, size_bytes, sha256 }) => ({
        ...{ firmware_id: part, hardware_type, version, version_num, size_bytes, sha256 },
        install: { handler: 'rawfile', path: `/lib/firmware/${hardware_type}.bin`, device: null },
      })),
      ...{
        comment: 'autumn',
        attempts: 0,
        last_error: null,
        last_error_dt: null,
        created_by: 'engineer',
        request_id: 'request-of-engineer',
      },
      ...{ created_dt: '2026-11-24T08:00:00.000Z', published_dt: null },
    });
    expect(service.deps.assemblies.sent).toEqual([{ assembly_id: id, created_dt: '2026-11-24T08:00:00.000Z' }]);
    expect(await db.selectFrom('firmwares').selectAll().where('id', '=', firmware_id).executeTakeFirst()).toMatchObject({
      ...{ status: 'awaiting_upload', assembly_id: id, created_by: 'engineer', comment: 'autumn', size_bytes: null },
      object_key: `firmwares/cabinet/${body.version}/firmware.swu`,
    });
  });

  it('202: the same again under one Idempotency-Key, also when its comment was changed and its parts are withdrawn by now; 422: another request under it', async () => {
    const { service, post, parts, deps } = await setup();
    const headers = { 'Idempotency-Key': 'key-of-engineer' };
    const first = await post({}, { headers });
    await editFirmware(deps, (first.body as { firmware_id: number }).firmware_id, { comment: 'another' }, actor);
    for (const { id } of parts) await editFirmware(deps, id, { status: 'withdrawn', reason: 'bad' }, actor);
    for (const message of service.deps.assemblies.take()) await service.assemble(message);
    const before = await stored();
    expect(JSON.stringify((await post({}, { headers })).body)).toBe(JSON.stringify(first.body));
    expect(await stored()).toEqual(before);
    expect(await post({ comment: 'other' }, { headers })).toMatchObject({
      statusCode: 422,
      body: { code: 'assembly.idempotency_key_reused', assembly_id: (first.body as { id: number }).id },
    });
  });

  it('202: of ten requests at one moment with one Idempotency-Key one begins an assembly, and all get its answer', async () => {
    const { post } = await setup();
    const before = await stored();
    const answers = await Promise.all(Array.from({ length: 10 }, () => post({}, { headers: { 'Idempotency-Key': 'ten' } })));
    expect(new Set(answers.map(({ statusCode, body }) => `${statusCode} ${(body as { id: number }).id}`)).size).toBe(1);
    expect(answers[0]?.statusCode).toBe(202);
    expect(await stored()).toEqual({ firmwares: before.firmwares + 1, assemblies: before.assemblies + 1 });
  });

  it('409: of five requests at one moment for one version without a key one begins an assembly', async () => {
    const { post } = await setup();
    const answers = await Promise.all(Array.from({ length: 5 }, () => post()));
    expect(answers.map(({ statusCode }) => statusCode).toSorted()).toEqual([202, 409, 409, 409, 409]);
  });

  it('409: a version that exists, with what it is', async () => {
    const { post } = await setup();
    const { body } = await post();
    const { id, firmware_id } = body as { id: number; firmware_id: number };
    expect(await post()).toMatchObject({
      statusCode: 409,
      body: { code: 'firmware.exists', firmware_id, assembly_id: id, firmware_status: 'awaiting_upload' },
    });
  });

  it('422: names every part that cannot be had, and begins nothing', async () => {
    const { service, post, parts, deps } = await setup();
    await editFirmware(deps, parts[1]?.id ?? 0, { status: 'withdrawn', reason: 'bricks modems' }, actor);
    const before = await stored();
    const answer = await post({ parts: [...parts.map(({ id }) => ({ firmware_id: id })), { firmware_id: 2_147_483_647 }] });
    expect(answer).toMatchObject({
      statusCode: 422,
      body: {
        code: 'firmware.not_available',
        errors: [
          { in: 'body', path: 'parts.1.firmware_id', message: 'is withdrawn: bricks modems' },
          { in: 'body', path: 'parts.3.firmware_id', message: 'is not the id of a firmware' },
        ],
      },
    });
    expect(await stored()).toEqual(before);
    expect(service.deps.assemblies.sent).toEqual([]);
  });

  it('400: names every part that does not go with the others', async () => {
    const { service, post, parts } = await setup();
    const [mcu, gsm] = parts;
    const { firmware: nested } = await service.givenPackage({ hardware_type: 'yandex_iot' });
    const [cabinet, other] = [await service.givenPart('cabinet'), await service.givenPart('vega_mcu')];
    const path = '/opt/x';
    const answer = await post({
      parts: [
        { firmware_id: mcu?.id, install: { path } },
        { firmware_id: gsm?.id, install: { path } },
        { firmware_id: other.id },
        { firmware_id: cabinet.id },
        { firmware_id: nested.id },
      ],
    });
    expect(answer).toMatchObject({
      statusCode: 400,
      body: {
        code: 'request.invalid',
        errors: [
          { path: 'parts.1.install', message: 'goes to /opt/x, as another part does' },
          { path: 'parts.2.firmware_id', message: 'is another vega_mcu: one for each hardware type' },
          { path: 'parts.3.firmware_id', message: 'is a cabinet, as the package is: a device could not tell which of the two it runs' },
          { path: 'parts.4.firmware_id', message: 'is a package itself' },
        ],
      },
    });
  });

  it('400: parts larger than the format or the hardware type takes', async () => {
    const { post, parts } = await setup();
    const size = (bytes: number) =>
      db
        .updateTable('firmwares')
        .set({ size_bytes: bytes })
        .where('id', '=', parts[0]?.id ?? 0)
        .execute();
    await size(4_294_967_296);
    expect(await post()).toMatchObject({
      statusCode: 400,
      body: { errors: [{ path: 'parts.0.firmware_id', message: 'has 4294967296 bytes; a part of a package has 4294967295 at most' }] },
    });
    await size(1024 ** 3);
    expect(await post()).toMatchObject({
      statusCode: 400,
      body: {
        errors: [{ path: 'parts', message: expect.stringMatching(/^have 10737418\d\d bytes; cabinet takes 1073741824 bytes at most$/) }],
      },
    });
  });

  it.each([
    ['hardware_type', { hardware_type: 'toaster' }, 'hardware_type'],
    ['a requirement', { requires: [{ hardware_type: 'toaster', minimum_version_num: 1 }] }, 'requires.0.hardware_type'],
  ])('400: an unknown %s', async (_, fields, path) => {
    const { post } = await setup();
    expect(await post(fields)).toMatchObject({ statusCode: 400, body: { code: 'hardware_type.unknown', errors: [{ path }] } });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['a relative path', { path: 'lib/x' }, 'path'],
    ['a path that leaves its folder', { path: '/lib/../etc/shadow' }, 'path'],
    ['a path with an empty segment', { path: '/lib//x' }, 'path'],
    ['a folder', { path: '/lib/' }, 'path'],
    ['the root', { path: '/' }, 'path'],
    ['a path with a line break', { path: '/lib/x\ny' }, 'path'],
    ['a path that SWUpdate would cut', { path: `/${'x'.repeat(240)}` }, 'path'],
    ['a path of too many bytes', { path: `/${'é'.repeat(130)}` }, 'path'],
    ['a script', { handler: 'shellscript' }, 'handler'],
    ['another handler that runs something', { handler: 'preinstall' }, 'handler'],
    ['an archive that goes nowhere', { handler: 'archive' }, 'path'],
    ['a device that is none', { handler: 'raw', device: '/etc/passwd' }, 'device'],
    ['a device that leaves /dev', { handler: 'raw', device: '/dev/../etc/passwd' }, 'device'],
    ['a raw image that goes nowhere', { handler: 'raw' }, 'device'],
    ['a device for a file', { device: '/dev/sda' }, 'device'],
    ['a field that is not known', { chown: 'root' }, 'chown'],
  ])('400: %s', async (_, install, field) => {
    const { post, parts } = await setup();
    const answer = await post({ parts: [{ firmware_id: parts[0]?.id, install }] });
    expect(answer).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'body', path: `parts.0.install.${field}` }] } });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['no parts', { parts: [] }, 'parts'],
    ['too many parts', { parts: Array.from({ length: 21 }, () => ({ firmware_id: 1 })) }, 'parts'],
    ['a version with a slash', { version: '1/2' }, 'version'],
    ['no hardware revision', { hardware_compatibility: [] }, 'hardware_compatibility'],
    ['a hardware revision with a control character', { hardware_compatibility: ['1\u0000'] }, 'hardware_compatibility.0'],
    ['signed that is no boolean', { signed: 'yes' }, 'signed'],
  ])('400: %s', async (_, fields, path) => {
    const { post } = await setup();
    expect(await post(fields)).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'body', path }] } });
  });

  it('403: without firmware:write', async () => {
    const { post } = await setup();
    expect(await post({}, { token: reader })).toMatchObject({ statusCode: 403 });
  });

  it('503: a queue that takes no message leaves nothing behind, and the version is free', async () => {
    const { service, post } = await setup();
    const before = await stored();
    service.deps.assemblies.failures = 1;
    expect(await post()).toMatchObject({ statusCode: 503, body: { code: 'queue.unavailable' } });
    expect(await stored()).toEqual(before);
    expect(await post()).toMatchObject({ statusCode: 202 });
  });
});

describe('GET /v1/assemblies', () => {
  it('200: one, with its parts and what has become of it', async () => {
    const { service, post, get } = await setup();
    const { id } = (await post()).body as { id: number };
    for (const message of service.deps.assemblies.take()) await service.assemble(message);
    await service.registerWritten();
    expect(await get('/v1/assemblies/{id}', { pathParameters: { id: String(id) } })).toMatchObject({
      statusCode: 200,
      body: { id, status: 'COMPLETED', version_num: expect.any(Number), parts: [{}, {}, {}], published_dt: '2026-11-24T08:00:00.000Z' },
    });
  });

  it('404: an unknown one', async () => {
    const { get } = await setup();
    expect(await get('/v1/assemblies/{id}', { pathParameters: { id: '2147483647' } })).toMatchObject({
      statusCode: 404,
      body: { code: 'assembly.not_found' },
    });
  });

  it('200: lists them, the latest first, page by page, by status and hardware type', async () => {
    const { service, post, get, parts, deps } = await setup();
    const ids: number[] = [];
    for (const version of ['l1', 'l2', 'l3']) ids.push(((await post({ version, hardware_type: 'yandex_iot' })).body as { id: number }).id);
    const [first] = service.deps.assemblies.take();
    await service.assemble(first);
    await service.registerWritten();
    await editFirmware(deps, parts[0]?.id ?? 0, { status: 'withdrawn', reason: 'bad' }, actor);
    await service.assemble({ assembly_id: ids[1], created_dt: service.clock.now() });
    const list = async (query: Record<string, string>) => {
      const { body } = await get('/v1/assemblies', { query: { hardware_type: 'yandex_iot', ...query } });
      const { items, next_cursor } = body as { items: { id: number }[]; next_cursor: string | null };
      return { ids: items.map(({ id }) => id).filter((id) => ids.includes(id)), next_cursor };
    };
    expect((await list({})).ids).toEqual(ids.toReversed());
    const page = await list({ limit: '2' });
    expect(page.ids).toEqual([ids[2], ids[1]]);
    expect((await list({ limit: '2', cursor: page.next_cursor ?? '' })).ids).toEqual([ids[0]]);
    expect((await list({ status: 'COMPLETED' })).ids).toEqual([ids[0]]);
    expect((await list({ status: 'FAILED' })).ids).toEqual([ids[1]]);
    expect((await list({ status: 'IN_PROGRESS' })).ids).toEqual([ids[2]]);
    service.clock.advance(3_000);
    expect((await list({ status: 'STALLED' })).ids).toEqual([ids[2]]);
    expect(await get('/v1/assemblies', { query: { hardware_type: 'vega_mcu' } })).toMatchObject({ body: { items: [], next_cursor: null } });
  });

  it('401: without a token', async () => {
    const { get } = await setup();
    expect(await get('/v1/assemblies', { token: undefined })).toMatchObject({ statusCode: 401 });
  });
});
