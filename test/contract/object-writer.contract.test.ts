// One suite for the writer in memory and the real one, against the S3 of `npm start` or of an emulator.
import { createHash, randomUUID } from 'node:crypto';
import { GetObjectCommand, ListMultipartUploadsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { DeleteMessageBatchCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import type { S3Event } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import type { ObjectWriter } from '../../lib/ports/object-writer.ts';
import { createS3 } from '../../lib/ports/s3-client.ts';
import { createS3ObjectWriter } from '../../lib/ports/s3-object-writer.ts';
import { InMemoryObjectWriter } from '../support/in-memory-object-writer.ts';
import { InMemoryStorage } from '../support/in-memory-storage.ts';
import { startLocalS3 } from '../support/local-s3.ts';
import { openBucket, openQueues } from '../support/s3-and-sqs.ts';

const queues = await openQueues([
  { logical_id: 'Created', short_name: 'created', name: 'created', visibility_timeout_seconds: 30, retention_seconds: 3_600 },
]);
const s3 = await openBucket({ queues, queue: 'Created' });
const { bucket } = s3;

/** Keys of the events that wait, the oldest first. */
const receiveKeys = async (): Promise<string[]> => {
  const QueueUrl = queues.urls['Created'];
  const { Messages = [] } = await queues.client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }));
  if (Messages.length === 0) return [];
  const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
  await queues.client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
  const events = Messages.flatMap(({ Body = '{}' }) => (JSON.parse(Body) as Partial<S3Event>).Records ?? []);
  return events.map((event) => decodeURIComponent(event.s3.object.key.replaceAll('+', ' ')));
};
/** Keys of all objects made since the last call: the event of one that is made now comes after theirs. */
const createdKeys = async (): Promise<string[]> => {
  const marker = `firmwares/marker/${randomUUID()}`;
  await s3.client.send(new PutObjectCommand({ Bucket: bucket, Key: marker, Body: 'x' }));
  const keys: string[] = [];
  while (!keys.includes(marker)) keys.push(...(await receiveKeys()));
  return keys.filter((key) => key !== marker);
};

const inMemory = () => {
  const storage = new InMemoryStorage(() => new Date());
  const writer = new InMemoryObjectWriter(storage);
  return {
    writer: writer as ObjectWriter,
    sha256Of: async (key: string) => {
      const object = writer.written.findLast((written) => written.key === key);
      return (
        object &&
        createHash('sha256')
          .update(await storage.read(object))
          .digest('hex')
      );
    },
    unfinished: async () => 0,
    created: async () => writer.written.map(({ key }) => key),
  };
};

const real = () => {
  return {
    writer: createS3ObjectWriter({ bucket, s3: createS3(s3.options) }),
    sha256Of: async (key: string) => {
      try {
        const { Body } = await s3.client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        return createHash('sha256')
          .update((await Body?.transformToByteArray()) ?? '')
          .digest('hex');
      } catch {
        return undefined;
      }
    },
    unfinished: async () => (await s3.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads?.length ?? 0,
    created: createdKeys,
  };
};

/** `size` bytes in chunks of odd lengths, each byte dependent on its place. */
async function* generated(size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; at += 65_521) yield Buffer.alloc(Math.min(65_521, size - at), `${at} `);
}
const sha256Of = async (bytes: AsyncIterable<Uint8Array>) => {
  const hash = createHash('sha256');
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest('hex');
};

let counter = 0;
const newKey = () => {
  counter += 1;
  return `firmwares/cabinet/1.${counter} é+/firmware.swu`;
};

const mebibyte = 1024 ** 2;
describe.each([
  ['in memory', inMemory],
  ['S3', real],
])('%s', (_, create) => {
  it.each([1, 1_000, 8 * mebibyte - 1, 8 * mebibyte, 8 * mebibyte + 1, 20 * mebibyte])('writes %s bytes as one object', async (size) => {
    const { writer, sha256Of: stored, created, unfinished } = create();
    const key = newKey();
    expect(await writer.write(key, generated(size))).toBe('written');
    expect(await stored(key)).toBe(await sha256Of(generated(size)));
    expect(await created()).toEqual([key]);
    expect(await unfinished()).toBe(0);
  });

  it.each([1_000, 20 * mebibyte])('leaves an object that is there, and says so: %s bytes', async (size) => {
    const { writer, sha256Of: stored, created, unfinished } = create();
    const key = newKey();
    await writer.write(key, generated(10));
    expect(await writer.write(key, generated(size))).toBe('exists');
    expect(await stored(key)).toBe(await sha256Of(generated(10)));
    expect(await created()).toEqual([key]);
    expect(await unfinished()).toBe(0);
  });

  it.each([0, 1_000, 9 * mebibyte, 20 * mebibyte])('leaves nothing when the bytes end in an error, after %s of them', async (size) => {
    const { writer, sha256Of: stored, created, unfinished } = create();
    const key = newKey();
    async function* failing() {
      yield* generated(size);
      throw new TypeError('the part is not what was registered');
    }
    await expect(writer.write(key, failing())).rejects.toThrow(new TypeError('the part is not what was registered'));
    expect(await stored(key)).toBeUndefined();
    expect(await created()).toEqual([]);
    expect(await unfinished()).toBe(0);
  });
});

describe('S3 that fails', () => {
  it('is storage.unavailable, and ends the source of the bytes', async () => {
    const down = await startLocalS3({ bucket: 'packages' });
    const writer = createS3ObjectWriter({ bucket: 'packages', s3: createS3(down.options) });
    await down.stop();
    let isEnded = false;
    async function* watched() {
      try {
        yield* generated(30 * mebibyte);
      } finally {
        isEnded = true;
      }
    }
    await expect(writer.write(newKey(), watched())).rejects.toMatchObject({ code: 'storage.unavailable' });
    await expect.poll(() => isEnded).toBe(true);
  });
});
