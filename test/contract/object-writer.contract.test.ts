// One suite for the writer in memory and the real one, against the S3 of `npm start` or of an emulator.
import { createHash, randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { GetObjectCommand, ListMultipartUploadsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { DeleteMessageBatchCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import type { S3Event } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import type { ObjectWriter, StoredBytes } from '../../lib/ports/object-writer.ts';
import { createS3, type OpenS3 } from '../../lib/ports/s3-client.ts';
import { createS3ObjectWriter, rangesFrom } from '../../lib/ports/s3-object-writer.ts';
import type { ObjectVersion } from '../../lib/ports/storage.ts';
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
    put: async (key: string, bytes: Buffer): Promise<ObjectVersion> => storage.put(key, bytes),
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
    put: async (key: string, bytes: Buffer): Promise<ObjectVersion> => {
      const { VersionId = '' } = await s3.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
      return { key, version_id: VersionId };
    },
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
/** Bytes of a stored object in chunks of odd lengths. */
async function* stored(object: ObjectVersion, bytes: Buffer): AsyncGenerator<StoredBytes> {
  for (let offset = 0; offset < bytes.length; offset += 65_521) {
    yield { bytes: bytes.subarray(offset, offset + 65_521), object, offset, size_bytes: bytes.length };
  }
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

  it.each([
    [[0]],
    [[1]],
    [[5 * mebibyte - 1, 5 * mebibyte, 5 * mebibyte + 1]],
    [[10 * mebibyte - 1_000, 10 * mebibyte - 1_001, 3]],
    [[23 * mebibyte, 1_000, 11 * mebibyte]],
  ])('writes the bytes of stored objects between others, each in its place: %j', async (sizes) => {
    const { writer, put, sha256Of: storedAs, created, unfinished } = create();
    const objects: { object: ObjectVersion; bytes: Buffer }[] = [];
    for (const size of sizes) {
      const bytes = await buffer(generated(size));
      objects.push({ object: await put(newKey(), bytes), bytes });
      // What the key yields now is something else.
      await put(objects.at(-1)?.object.key ?? '', Buffer.from('overwritten'));
    }
    await created();
    async function* pieces() {
      yield Buffer.alloc(1_000, 'head');
      for (const { object, bytes } of objects) {
        yield Buffer.from('before');
        yield* stored(object, bytes);
        yield Buffer.from('behind');
      }
    }
    const expected = Buffer.concat([
      Buffer.alloc(1_000, 'head'),
      ...objects.flatMap(({ bytes }) => [Buffer.from('before'), bytes, Buffer.from('behind')]),
    ]);
    const key = newKey();
    expect(await writer.write(key, pieces())).toBe('written');
    expect(await storedAs(key)).toBe(createHash('sha256').update(expected).digest('hex'));
    expect((await created()).at(-1)).toBe(key);
    expect(await unfinished()).toBe(0);
  });

  it.each([20, 40])('writes a stored object that ends the new one, of %i MiB', async (size) => {
    const { writer, put, sha256Of: storedAs, unfinished } = create();
    const bytes = await buffer(generated(size * mebibyte));
    const object = await put(newKey(), bytes);
    const key = newKey();
    expect(await writer.write(key, stored(object, bytes))).toBe('written');
    expect(await storedAs(key)).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(await unfinished()).toBe(0);
  });

  it('leaves nothing when bytes end in an error while others are copied', async () => {
    const { writer, put, sha256Of: storedAs, unfinished } = create();
    const bytes = await buffer(generated(20 * mebibyte));
    const object = await put(newKey(), bytes);
    const key = newKey();
    async function* failing() {
      yield* stored(object, bytes.subarray(0, 15 * mebibyte));
      throw new TypeError('the part is not what was registered');
    }
    await expect(writer.write(key, failing())).rejects.toThrow(new TypeError('the part is not what was registered'));
    expect(await storedAs(key)).toBeUndefined();
    expect(await unfinished()).toBe(0);
  });
});

describe('S3', () => {
  const watched = (commands: string[]): OpenS3 => {
    const open = createS3(s3.options);
    return async () => {
      const opened = await open();
      opened.client.middlewareStack.add(
        (next, { commandName = '' }) =>
          (args) => {
            commands.push(commandName);
            return next(args);
          },
        { step: 'initialize', name: 'watch', override: true },
      );
      return opened;
    };
  };

  it('gets the first 5 MiB of each large object, and copies the rest itself', async () => {
    const commands: string[] = [];
    const writer = createS3ObjectWriter({ bucket, s3: watched(commands) });
    const { put } = real();
    const bytes = await buffer(generated(30 * mebibyte));
    const [one, two] = [await put(newKey(), bytes), await put(newKey(), bytes)];
    async function* pieces() {
      for (const object of [one, two]) {
        yield Buffer.alloc(112, 'head');
        yield* stored(object, bytes);
      }
      yield Buffer.alloc(124, 'end');
    }
    expect(await writer.write(newKey(), pieces())).toBe('written');
    expect(commands.toSorted()).toEqual([
      'CompleteMultipartUploadCommand',
      'CreateMultipartUploadCommand',
      'UploadPartCommand',
      'UploadPartCommand',
      'UploadPartCommand',
      'UploadPartCopyCommand',
      'UploadPartCopyCommand',
    ]);
  });

  it('copies a quarter of a GiB at a time at most, and nothing that is too small for a part', () => {
    const object = { key: 'firmwares/vega_mcu/1/firmware.bin', version_id: '1' };
    const of = (size_bytes: number, at: number) => rangesFrom({ bytes: Buffer.alloc(0), object, offset: 100, size_bytes }, at);
    expect(of(600 * mebibyte, 24)).toEqual([
      { object, first: 124, last: 209_715_281 },
      { object, first: 209_715_282, last: 419_430_440 },
      { object, first: 419_430_441, last: 629_145_599 },
    ]);
    expect(of(5 * mebibyte + 124, 24)).toEqual([{ object, first: 124, last: 5 * mebibyte + 123 }]);
    expect(of(5 * mebibyte + 123, 24)).toEqual([]);
    expect(rangesFrom(Buffer.alloc(10 * mebibyte), 0)).toEqual([]);
  });

  it('that has no such version is storage.unavailable, and nothing is left', async () => {
    const { writer, put, sha256Of: storedAs, unfinished } = real();
    const bytes = await buffer(generated(20 * mebibyte));
    const { key: source } = await put(newKey(), bytes);
    const { version_id } = await put(newKey(), bytes);
    const key = newKey();
    const strange = stored({ key: source, version_id }, bytes);
    await expect(writer.write(key, strange)).rejects.toMatchObject({ code: 'storage.unavailable' });
    expect(await storedAs(key)).toBeUndefined();
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
