import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createHandler as createConfirmUpdate } from '../../functions/confirm-update/handler.ts';
import { createHandler as createEditHardwareType } from '../../functions/edit-hardware-type/handler.ts';
import { createHandler as createGetDevices } from '../../functions/get-device-versions/handler.ts';
import { createHandler as createGetUpdates } from '../../functions/get-updates/handler.ts';
import { createHandler as createGetVersions } from '../../functions/get-versions/handler.ts';
import { createHandler as createRegisterDevices } from '../../functions/register-devices/handler.ts';
import { createHandler as createRequestUpdate } from '../../functions/request-update/handler.ts';
import { createHandler as createUploadFirmware } from '../../functions/upload-firmware/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { registerFirmware } from '../../lib/registration/register-firmware.ts';
import type { AdvanceMessage, DispatchMessage, VerifyMessage } from '../../lib/update/messages.ts';
import { dispatchUpdate } from '../../lib/update/reach/dispatch-update.ts';
import { advanceUpdate } from '../../lib/update/walk/advance-update.ts';
import { catalogueDeps } from '../support/catalogue.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';
import { InMemoryBackend } from '../support/in-memory-backend.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { manifestSigner } from '../support/manifest-signer.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const engineer = await token({ scopes: ['firmware:write'] });
const reader = await token({ scopes: ['read'] });
const deps = { ...catalogueDeps(db), authenticate };
const getVersions = createGetVersions(deps);
const addHardwareType = createEditHardwareType(deps);

const valid = {
  name: 'lamp_front',
  device_kind: 'scooter',
  channel: 'telematics',
  scooter_versions: [2],
  fits_own_iot: false,
  max_size_bytes: 65_536,
  version_attribute: null,
  proof: 'version',
  order: 'registration',
  file_kinds: null,
  author_signatures_required: 0,
  version_maximum_length: null,
  version_pattern: null,
};
type HardwareType = typeof valid;
interface Problem {
  code: string;
  hardware_type: HardwareType;
  errors: { path: string }[];
}

const add = <Body = HardwareType>(body: unknown, more: object = {}) =>
  call<Body>(addHardwareType, { method: 'POST', path: '/v1/hardware-types', token: engineer, body, ...more });
const list = (query: Record<string, string> = {}, more: object = {}) =>
  call<{ items: HardwareType[]; next_cursor: string | null }>(getVersions, {
    method: 'GET',
    path: '/v1/hardware-types',
    token: reader,
    query,
    ...more,
  });
const storedNames = async () => (await db.selectFrom('hardware_types').select('name').execute()).map(({ name }) => name);

describe('GET /v1/hardware-types', () => {
  it('200: all that the service begins with, each with what it fits, how it travels and how large its files may be', async () => {
    const { statusCode, body } = await list();
    expect(statusCode).toBe(200);
    const mebibytes = (n: number) => n * 1024 * 1024;
    const free = {
      order: 'registration',
      file_kinds: null,
      author_signatures_required: 0,
      version_maximum_length: null,
      version_pattern: null,
    };
    const proven = { version_attribute: null, proof: 'version', ...free };
    const carried = { device_kind: 'scooter', channel: 'telematics', scooter_versions: [1, 2], fits_own_iot: false, ...proven };
    const own = { channel: 'iot', scooter_versions: [], max_size_bytes: mebibytes(1024), ...proven };
    expect(body).toEqual({
      items: [
        { name: 'audio_battery_low', ...carried, max_size_bytes: mebibytes(8) },
        { name: 'audio_locate', ...carried, max_size_bytes: mebibytes(8) },
        { name: 'audio_lock', ...carried, max_size_bytes: mebibytes(8) },
        { name: 'audio_unlock', ...carried, max_size_bytes: mebibytes(8) },
        { name: 'cabinet', device_kind: 'cabinet', fits_own_iot: false, ...own },
        { name: 'vega_gsm', ...carried, max_size_bytes: mebibytes(32) },
        { name: 'vega_mcu', ...carried, max_size_bytes: mebibytes(16) },
        { name: 'yandex_iot', device_kind: 'scooter', fits_own_iot: true, ...own },
      ],
      next_cursor: null,
    });
  });

  it('200: pages hold every type once', async () => {
    const names: string[] = [];
    for (let cursor: string | null = null; cursor !== null || names.length === 0; ) {
      const { body } = await list({ limit: '3', ...(cursor !== null && { cursor }) });
      names.push(...body.items.map(({ name }) => name));
      cursor = body.next_cursor;
    }
    expect(names).toEqual((await storedNames()).toSorted());
  });

  it.each([
    ['limit', '0'],
    ['cursor', 'abc'],
    ['cursor', Buffer.from('[1]').toString('base64url')],
    ['name', 'vega_mcu'],
  ])('400: refuses %s=%s', async (name, value) => {
    expect(await list({ [name]: value })).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'query', path: name }] } });
  });

  it('401, 403: only with the scope read', async () => {
    expect(await call(getVersions, { method: 'GET', path: '/v1/hardware-types' })).toMatchObject({ statusCode: 401 });
    expect(await list({}, { token: engineer })).toMatchObject({ statusCode: 403 });
  });
});

describe('POST /v1/hardware-types', () => {
  it('201: adds it, 200: the same again changes nothing', async () => {
    expect(await add(valid)).toMatchObject({ statusCode: 201, body: valid });
    expect(await add({ ...valid, scooter_versions: [2, 2] })).toMatchObject({ statusCode: 200, body: valid });
    expect((await list({ limit: '500' })).body.items).toContainEqual(valid);
    const order = { ...valid, name: 'lamp_order', scooter_versions: [2, 1] };
    expect(await add(order)).toMatchObject({ statusCode: 201, body: { scooter_versions: [1, 2] } });
    expect(await add(order)).toMatchObject({ statusCode: 200 });
  });

  it('201: a type of cabinets, and one of scooters with an IoT of their own, without saying what goes without saying', async () => {
    const cabinet = { name: 'cabinet_lock', device_kind: 'cabinet', channel: 'iot', max_size_bytes: 1 };
    expect(await add(cabinet)).toMatchObject({ statusCode: 201, body: { ...cabinet, scooter_versions: [], fits_own_iot: false } });
    const own = { name: 'own_lock', device_kind: 'scooter', channel: 'iot', fits_own_iot: true, max_size_bytes: 5 * 1024 ** 3 };
    expect(await add(own)).toMatchObject({ statusCode: 201, body: { ...own, scooter_versions: [] } });
  });

  it('201 once and 200 for the rest when ten add the same at one moment; 409 for another definition', async () => {
    const type = { ...valid, name: 'lamp_race' };
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => add(i % 2 === 0 ? type : { ...type, max_size_bytes: 1 })));
    const statuses = answers.map(({ statusCode }) => statusCode).toSorted();
    expect(statuses).toEqual([...Array(9).fill(200), 201, ...Array(10).fill(409)]);
    expect((await storedNames()).filter((name) => name === 'lamp_race')).toHaveLength(1);
  });

  it('409: another definition under a name in use, with what the name stands for; nothing is changed', async () => {
    const mcu = { ...valid, name: 'vega_mcu' };
    const answer = await add<Problem>(mcu);
    expect(answer).toMatchObject({ statusCode: 409, body: { code: 'hardware_type.exists', errors: [{ in: 'body', path: 'name' }] } });
    expect(answer.body.hardware_type).toEqual((await list()).body.items.find(({ name }) => name === 'vega_mcu'));
    expect(answer.body.hardware_type.max_size_bytes).toBe(16 * 1024 * 1024);
  });

  it.each<[string, object, string[]]>([
    ['names that cannot stand in a key of S3', { name: 'lamp/front' }, ['name']],
    ['a name that is none', { name: '' }, ['name']],
    ['a name too long', { name: 'x'.repeat(64) }, ['name']],
    ['kinds and channels that there are none of', { device_kind: 'car', channel: 'pigeon' }, ['channel', 'device_kind']],
    ['a generation that there is none of', { scooter_versions: [3] }, ['scooter_versions.0']],
    ['files without bytes', { max_size_bytes: 0 }, ['max_size_bytes']],
    ['files that S3 takes in no single PUT', { max_size_bytes: 5 * 1024 ** 3 + 1 }, ['max_size_bytes']],
    ['half bytes', { max_size_bytes: 1.5 }, ['max_size_bytes']],
    ['a scooter part that fits no scooter', { scooter_versions: [] }, ['scooter_versions']],
    ['a cabinet part that fits scooters', { device_kind: 'cabinet', fits_own_iot: true }, ['fits_own_iot', 'scooter_versions']],
    ['ordinals of the caller', { last_version_num: 7 }, ['last_version_num']],
  ])('400: refuses %s', async (_, change, paths) => {
    const before = await storedNames();
    const answer = await add<Problem>({ ...valid, name: 'refused', ...change });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
    expect([...new Set(answer.body.errors.map(({ path }) => path))].toSorted()).toEqual(paths);
    expect(await storedNames()).toEqual(before);
  });

  it('400, 413, 415: a body that is no JSON, too large, or in another format', async () => {
    expect(await add<Problem>('{"name":')).toMatchObject({ statusCode: 400, body: { code: 'request.malformed' } });
    expect(await add({ ...valid, name: 'x'.repeat(65 * 1024) })).toMatchObject({ statusCode: 413 });
    expect(await add('name=x', { headers: { 'content-type': 'text/plain' } })).toMatchObject({ statusCode: 415 });
  });

  it('401, 403: only with the scope firmware:write', async () => {
    expect(await call(addHardwareType, { method: 'POST', path: '/v1/hardware-types', body: valid })).toMatchObject({ statusCode: 401 });
    const others = await token({ scopes: ['read', 'devices:write', 'updates:write', 'devices:report'] });
    expect(await add(valid, { token: others })).toMatchObject({ statusCode: 403 });
  });
});

it('503: while the database is down', async () => {
  const down = { ...deps, db: createDatabase({ url: 'postgres://user:hunter2@127.0.0.1:9/none', maxConnections: 1 }) };
  const get = { method: 'GET', path: '/v1/hardware-types', token: reader };
  const post = { method: 'POST', path: '/v1/hardware-types', token: engineer, body: valid };
  expect(await call(createGetVersions(down), get)).toMatchObject({ statusCode: 503 });
  expect(await call(createEditHardwareType(down), post)).toMatchObject({ statusCode: 503, headers: { 'retry-after': '2' } });
  await down.db.destroy();
});

it('a type that nobody had thought of is added, and its firmware uploaded, registered, installed and proven, without a change of code', async () => {
  const all = await token();
  const advances = new InMemoryQueue<AdvanceMessage>();
  const dispatches = new InMemoryQueue<DispatchMessage>();
  const backend = new InMemoryBackend();
  const bytes = Buffer.from('firmware of a horn');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const type = { name: 'horn_v2', device_kind: 'scooter', channel: 'telematics', scooter_versions: [2], max_size_bytes: 1_000 };
  const external_ids = ['S-horn-1', 'S-horn-2', 'S-without'];

  expect(await add(type)).toMatchObject({ statusCode: 201 });
  await call(createRegisterDevices({ ...deps, advances: new InMemoryQueue<AdvanceMessage>() }), {
    method: 'PUT',
    path: '/v1/devices',
    token: all,
    body: { devices: external_ids.map((external_id, i) => ({ kind: 'scooter', external_id, version: i < 2 ? 2 : 1 })) },
  });

  const firmware = { hardware_type: type.name, version: '1.0', size_bytes: bytes.length, sha256 };
  const uploaded = await call<{ id: number; upload: { url: string; headers: Record<string, string> } }>(createUploadFirmware(deps), {
    method: 'POST',
    path: '/v1/firmwares',
    token: all,
    body: firmware,
  });
  expect(uploaded.statusCode).toBe(201);
  const { object } = deps.storage.upload(uploaded.body.upload, bytes);
  expect(object && (await registerFirmware(deps, object))).toBe('available');

  const requested = await call<{ id: number }>(createRequestUpdate({ ...deps, advances }), {
    method: 'POST',
    path: '/v1/updates',
    token: all,
    body: { firmware_id: uploaded.body.id, targets: { external_ids } },
  });
  expect(requested).toMatchObject({ statusCode: 202, body: { counts: { QUEUED: 2 }, not_eligible: { HARDWARE_MISMATCH: 1 } } });
  for (const { created_dt, ...message } of advances.take()) {
    await advanceUpdate(
      { ...deps, advances, dispatches, verifications: new InMemoryQueue<VerifyMessage>() },
      { ...message, created_dt: new Date(created_dt) },
    );
  }
  for (const message of dispatches.take())
    await dispatchUpdate({ ...deps, backend, signManifest: manifestSigner(deps.now) }, message, 29_000);
  expect(backend.commands.map((command) => [command.external_id, command.hardware_type, command.sha256])).toEqual([
    ['S-horn-1', 'horn_v2', sha256],
    ['S-horn-2', 'horn_v2', sha256],
  ]);

  deps.clock.advance(60);
  const confirmations = backend.commands.map(({ external_id, execution_id }) => ({
    ...{ external_id, execution_id, hardware_type: 'horn_v2', version: '1.0', status: 'SUCCEEDED', occurred_dt: deps.now().toISOString() },
  }));
  await call(createConfirmUpdate(deps), { method: 'POST', path: '/v1/confirmations', token: all, body: { confirmations } });
  const update = { method: 'GET', path: '/v1/updates/{id}', pathParameters: { id: String(requested.body.id) }, token: all };
  expect(await call(createGetUpdates(deps), update)).toMatchObject({ body: { counts: { SUCCEEDED: 2 }, progress: 1 } });
  const scooter = { method: 'GET', path: '/v1/scooters/{external_id}', pathParameters: { external_id: 'S-horn-1' }, token: all };
  expect(await call(createGetDevices({ ...deps, log: silentLog }), scooter)).toMatchObject({
    body: {
      firmwares: [{ hardware_type: 'horn_v2', firmware_id: uploaded.body.id, version: '1.0', firmware_update_time: 60, is_newest: true }],
    },
  });
});
