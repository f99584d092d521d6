import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startS3Server } from '../../dev/local-aws/s3-server.ts';
import { freePort } from '../../dev/stack/free-port.ts';
import { createHandler } from '../../functions/get-versions/handler.ts';
import { createHandler as createUploadFirmware } from '../../functions/upload-firmware/handler.ts';
import { editFirmware } from '../../lib/firmware/edit-firmware.ts';
import { createS3 } from '../../lib/ports/s3-client.ts';
import { createS3Storage } from '../../lib/ports/s3-storage.ts';
import { registerFirmware } from '../../lib/registration/register-firmware.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import { emptyCatalogue, firmwareBytes, firmwareHashes, storedFirmwares } from '../support/catalogue.ts';
import { createTestDatabase } from '../support/database.ts';
import { actor, confirmation, givenDevices, silentLog, TestClock } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';

const { db, takeStatements } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const bearer = await token();

// A real S3 at an address that stays, whether it runs or not, and the client that the functions use.
const bucket = 'firmwares-of-test';
const directory = await mkdtemp(join(tmpdir(), 'storage-outage-'));
const port = await freePort();
const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
const endpoint = `http://127.0.0.1:${port}`;
const openS3 = createS3({ endpoint, region: 'eu-central-1', credentials });
const sdk = new S3Client({ endpoint, region: 'eu-central-1', forcePathStyle: true, credentials });
const startS3 = () => startS3Server({ directory, port, credentials, buckets: [bucket] });
let s3 = await startS3();
let isUp = true;
const stopS3 = async () => {
  await s3.close();
  isUp = false;
};
const restartS3 = async () => {
  s3 = await startS3();
  isUp = true;
};
afterAll(async () => {
  sdk.destroy();
  if (isUp) await s3.close();
  await rm(directory, { recursive: true });
});

const { now } = new TestClock();
const deps = { db, authenticate, log: silentLog, now, storage: createS3Storage({ bucket, now, s3: openS3 }) };
const getVersions = createHandler(deps);

interface Item {
  id: number;
  version: string;
  status: string;
  device_count: number;
  download_url?: string | null;
  download_expires_dt?: string | null;
}
interface Page {
  items: Item[];
  storage?: string;
}
const list = (query: Record<string, string> = {}) =>
  call<Page>(getVersions, { method: 'GET', path: '/v1/firmwares', token: bearer, query });
const get = (id: number) =>
  call<Item>(getVersions, { method: 'GET', path: '/v1/firmwares/{id}', pathParameters: { id: String(id) }, token: bearer });
const upload = (version: string) =>
  call<{ code: string }>(createUploadFirmware({ ...deps, registrations: new InMemoryQueue<object>() }), {
    method: 'POST',
    path: '/v1/firmwares',
    token: bearer,
    body: { hardware_type: 'vega_mcu', version, size_bytes: 14, sha256: firmwareHashes.sha256 },
  });
const register = async (version: string) => {
  const key = `firmwares/vega_mcu/${version}/firmware.bin`;
  const { VersionId = '' } = await sdk.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: firmwareBytes }));
  await registerFirmware(deps, { key, version_id: VersionId });
};
const download = async (url: string | null | undefined) => Buffer.from(await (await fetch(url ?? '')).arrayBuffer());

let ids: Record<string, number> = {};
beforeAll(async () => {
  await emptyCatalogue(db);
  await register('1.0');
  await register('1.1');
  await upload('1.2');
  ids = Object.fromEntries((await storedFirmwares(db)).map(({ id, version }) => [version, id]));
  await editFirmware(deps, ids['1.0'] ?? 0, { status: 'withdrawn', reason: 'brakes too late' }, actor);
  const devices = await givenDevices(db, 5);
  const reports = devices.map((external_id, i) => confirmation({ external_id, version: ['1.0', '1.1', '1.1', '1.1', '1.2'][i] ?? '' }));
  await confirmUpdate({ db, now }, reports);
});
beforeEach(async () => {
  if (!isUp) await restartS3();
  takeStatements();
});

describe('GET /v1/firmwares', () => {
  it('200: on how many devices each runs, in one statement; a version that is not available yet runs nowhere', async () => {
    const { body } = await list();
    expect(takeStatements()).toHaveLength(1);
    expect(body.items.map(({ version, device_count }) => [version, device_count])).toEqual([
      ['1.1', 3],
      ['1.0', 1],
      ['1.2', 0],
    ]);
  });

  it('200: a firmware is found by hardware type and version', async () => {
    expect((await list({ hardware_type: 'vega_mcu', version: '1.1' })).body.items).toMatchObject([{ id: ids['1.1'] }]);
    expect((await list({ hardware_type: 'vega_gsm', version: '1.1' })).body.items).toEqual([]);
    expect((await list({ version: '1.' })).body.items).toEqual([]);
  });

  it('200: without links unless they are asked for, and S3 is not asked', async () => {
    for (const query of [{}, { links: 'false' }]) {
      await stopS3();
      const { body } = await list(query);
      expect(body).not.toHaveProperty('storage');
      for (const item of body.items) expect(item).not.toHaveProperty('download_url');
      await restartS3();
    }
  });

  it('200: with links that yield the bytes, for available firmwares only', async () => {
    const { statusCode, body } = await list({ links: 'true' });
    expect(statusCode).toBe(200);
    expect(body.storage).toBe('available');
    const [available, ...others] = body.items;
    expect(await download(available?.download_url)).toEqual(firmwareBytes);
    expect(others).toMatchObject([
      { status: 'withdrawn', download_url: null, download_expires_dt: null },
      { status: 'awaiting_upload', download_url: null, download_expires_dt: null },
    ]);
  });
});

describe('while S3 is down', () => {
  it('200: the list answers without links and says so; with links again as soon as S3 is back, with the same handler', async () => {
    await stopS3();
    const { statusCode, body } = await list({ links: 'true' });
    expect(statusCode).toBe(200);
    expect(body.storage).toBe('unavailable');
    expect(body.items.map(({ version, download_url }) => [version, download_url])).toEqual([
      ['1.1', null],
      ['1.0', null],
      ['1.2', null],
    ]);
    await restartS3();
    const again = await list({ links: 'true' });
    expect(again.body.storage).toBe('available');
    expect(await download(again.body.items[0]?.download_url)).toEqual(firmwareBytes);
  });

  it('200: one firmware is answered without a link and says so', async () => {
    await stopS3();
    expect(await get(ids['1.1'] ?? 0)).toMatchObject({
      statusCode: 200,
      body: { version: '1.1', status: 'available', device_count: 3, download_url: null, download_expires_dt: null, storage: 'unavailable' },
    });
    await restartS3();
    const { body } = await get(ids['1.1'] ?? 0);
    expect(await download(body.download_url)).toEqual(firmwareBytes);
  });

  it('404: a firmware that there is not is not there either', async () => {
    await stopS3();
    expect(await get(2_147_483_647)).toMatchObject({ statusCode: 404 });
  });

  it('503: an upload is refused with Retry-After and stores nothing; the same request afterwards is the first one', async () => {
    const before = await storedFirmwares(db);
    await stopS3();
    expect(await upload('2.0')).toMatchObject({
      statusCode: 503,
      headers: { 'retry-after': '5' },
      body: { code: 'storage.unavailable' },
    });
    expect(await storedFirmwares(db)).toEqual(before);
    await restartS3();
    expect(await upload('2.0')).toMatchObject({ statusCode: 201 });
  });
});
