import { createHash, randomBytes } from 'node:crypto';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, expect, it, vi } from 'vitest';
import { startEventSourceMappings } from '../../dev/local-aws/event-source-mappings.ts';
import { createHandler as createGetVersions } from '../../functions/get-versions/handler.ts';
import { createHandler as createRegisterFirmware } from '../../functions/register-firmware/handler.ts';
import { createHandler as createUploadFirmware } from '../../functions/upload-firmware/handler.ts';
import { systemClock } from '../../lib/clock.ts';
import { createS3 } from '../../lib/ports/s3-client.ts';
import { createS3Storage } from '../../lib/ports/s3-storage.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/fixtures.ts';
import { call, createContext, createIdentity } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { region } from '../support/local-queues.ts';
import { openBucket, openQueues } from '../support/s3-and-sqs.ts';

// The way of a file as in the cloud: everything but Lambda and API Gateway is what `npm start` runs.
const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const bearer = await token();
const queues = await openQueues([
  {
    logical_id: 'Registrations',
    short_name: 'registrations',
    name: 'registrations',
    visibility_timeout_seconds: 1,
    retention_seconds: 3600,
    redrive: { dead_letter_queue: 'DeadLetters', maximum_receives: 2 },
  },
  { logical_id: 'DeadLetters', short_name: 'dead-letters', name: 'dead-letters', visibility_timeout_seconds: 60, retention_seconds: 3600 },
]);
const QueueUrl = queues.urls['Registrations'] ?? '';
const s3 = await openBucket({ queues, queue: 'Registrations' });
const { bucket } = s3;
const deps = {
  db,
  authenticate,
  log: silentLog,
  now: systemClock,
  storage: createS3Storage({ bucket, now: systemClock, s3: createS3(s3.options) }),
};
// Loads the SDK, which may take longer than the second for which a message is hidden here.
await deps.storage.probe();
const register = createRegisterFirmware({ ...deps, registrations: new InMemoryQueue(), advances: new InMemoryQueue() });
const consumer = startEventSourceMappings({
  mappings: [
    {
      function_name: 'register-firmware',
      queue_url: QueueUrl,
      queue_arn: queues.arns['Registrations'] ?? '',
      batch_size: 1,
      maximum_batching_window_seconds: 0,
      reports_batch_item_failures: true,
    },
  ],
  sqs: queues.client,
  region,
  invoke: async (_, event) => register(event, createContext(), () => {}),
});
afterAll(() => consumer.stop());

interface FirmwareBody {
  id: number;
  status: string;
  reason: string | null;
  version_num: number | null;
  sha256: string | null;
  download_url: string | null;
  upload: { url: string; headers: Record<string, string> };
}

const reserve = async (version: string, bytes: Buffer, filename = 'firmware.bin') => {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const body = { hardware_type: 'vega_mcu', version, filename, size_bytes: bytes.length, sha256 };
  return (
    await call<FirmwareBody>(createUploadFirmware({ ...deps, registrations: new InMemoryQueue<object>() }), {
      method: 'POST',
      path: '/v1/firmwares',
      token: bearer,
      body,
    })
  ).body;
};
const put = async ({ url, headers }: FirmwareBody['upload'], bytes: Buffer) => {
  const { 'content-length': _, ...others } = headers; // fetch gives the true one
  return (await fetch(url, { method: 'PUT', headers: others, body: new Uint8Array(bytes) })).status;
};
const get = async (id: number) => {
  const request = { method: 'GET', path: '/v1/firmwares/{id}', pathParameters: { id: String(id) }, token: bearer };
  return (await call<FirmwareBody>(createGetVersions(deps), request)).body;
};
const ended = (id: number) =>
  vi.waitFor(
    async () => {
      const firmware = await get(id);
      expect(firmware.status).not.toBe('awaiting_upload');
      return firmware;
    },
    { timeout: 20_000, interval: 50 },
  );
const download = async (url: string | null) => Buffer.from(await (await fetch(url ?? '')).arrayBuffer());
const idOf = (version: string) =>
  vi.waitFor(async () => (await db.selectFrom('firmwares').select('id').where('version', '=', version).executeTakeFirstOrThrow()).id, {
    timeout: 20_000,
    interval: 50,
  });

it('a file that an engineer uploads comes back byte for byte, whatever its version and name are', async () => {
  const bytes = randomBytes(1_500_000);
  for (const [version, filename] of [
    ['1.0.0', 'firmware.bin'],
    ['1.0 + β #2 100% ?versionId=x&a=b \'q\' "d" <x> %2f%00 \\ (1)*~!$@', 'Vega MCU 🛴+%20.bin'],
  ] as const) {
    const { id, upload } = await reserve(version, bytes, filename);
    expect(await put(upload, bytes)).toBe(200);
    const firmware = await ended(id);
    expect(firmware).toMatchObject({ status: 'available', reason: null, sha256: createHash('sha256').update(bytes).digest('hex') });
    expect((await download(firmware.download_url)).equals(bytes)).toBe(true);
  }
});

it('S3 refuses wrong bytes, another length, a changed link and a second upload; only the promised bytes are ever registered', async () => {
  const bytes = randomBytes(1_000);
  const { id, upload } = await reserve('2.0.0', bytes);
  const other = Buffer.from(bytes);
  other[0] = (other[0] ?? 0) ^ 1;
  expect(await put(upload, other)).toBe(400);
  expect(await put(upload, bytes.subarray(1))).toBe(403);
  expect(await put(upload, Buffer.concat([bytes, bytes]))).toBe(403);
  expect(await put({ ...upload, url: upload.url.replace('2.0.0', '2.0.1') }, bytes)).toBe(403);
  const checksum = createHash('sha256').update(other).digest('base64');
  expect(await put({ ...upload, headers: { ...upload.headers, 'x-amz-checksum-sha256': checksum } }, other)).toBe(403);
  expect((await get(id)).status).toBe('awaiting_upload');
  expect(await put(upload, bytes)).toBe(200);
  expect(await put(upload, bytes)).toBe(412);
  expect(await ended(id)).toMatchObject({ status: 'available' });
  expect(await db.selectFrom('firmwares').select('id').where('version', 'in', ['2.0.0', '2.0.1']).execute()).toEqual([{ id }]);
});

it('a file that a build pipeline puts there by itself registers, and an overwrite changes no byte of it', async () => {
  const bytes = randomBytes(1_000);
  const Key = 'firmwares/vega_gsm/3.0 build+7/Vega GSM.bin';
  await s3.client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: bytes }));
  const id = await idOf('3.0 build+7');
  expect(await ended(id)).toMatchObject({ status: 'available', version_num: 1 });
  await s3.client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: 'overwritten' }));
  await expect.poll(() => queues.depth('Registrations'), { timeout: 20_000 }).toBe(0);
  expect((await download((await get(id)).download_url)).equals(bytes)).toBe(true);
});

it('an empty file is rejected with a reason that the API shows, and its message is gone', async () => {
  await s3.client.send(new PutObjectCommand({ Bucket: bucket, Key: 'firmwares/vega_mcu/4.0.0/firmware.bin', Body: Buffer.alloc(0) }));
  expect(await ended(await idOf('4.0.0'))).toMatchObject({ status: 'rejected', reason: 'The file is empty' });
  await expect.poll(() => queues.depth('Registrations'), { timeout: 20_000 }).toBe(0);
});

it('what is nobody’s ends in the dead-letter queue and keeps no other file from being registered', async () => {
  await s3.client.send(new PutObjectCommand({ Bucket: bucket, Key: 'firmwares/readme.txt', Body: 'hello' }));
  await s3.client.send(new PutObjectCommand({ Bucket: bucket, Key: 'firmwares/hoverboard/1.0/firmware.bin', Body: 'hello' }));
  const bytes = randomBytes(1_000);
  const { id, upload } = await reserve('5.0.0', bytes);
  expect(await put(upload, bytes)).toBe(200);
  expect(await ended(id)).toMatchObject({ status: 'available' });
  await expect
    .poll(async () => [await queues.depth('Registrations'), await queues.depth('DeadLetters')], { timeout: 20_000 })
    .toEqual([0, 2]);
  const { Messages = [] } = await queues.client.send(
    new ReceiveMessageCommand({ QueueUrl: queues.urls['DeadLetters'], MaxNumberOfMessages: 10 }),
  );
  const keys = Messages.map(
    ({ Body = '' }) => (JSON.parse(Body) as { Records: { s3: { object: { key: string } } }[] }).Records[0]?.s3.object.key,
  );
  expect(keys.toSorted()).toEqual(['firmwares/hoverboard/1.0/firmware.bin', 'firmwares/readme.txt']);
});
