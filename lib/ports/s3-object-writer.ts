import { text } from 'node:stream/consumers';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ObjectWriter } from './object-writer.ts';
import { createS3Client, type S3Client, S3Refusal, type S3Request } from './s3-client.ts';
import { storageUnavailable } from './s3-storage.ts';

/** The least that S3 takes, and it takes 10,000 of them: 50 GB. */
const partBytes = 5 * 1024 ** 2;
/** On their way while the next one is filled. All that is in memory of a package is this many parts and one more. */
const partsAtOnce = 2;

/**
 * The pieces in which bytes arrive lie outside the heap, and the engine lets up to 64 MB of them become old before it looks for those that nobody
 * needs: as much as the function may have above what it has when idle. So it is told to look after each part, among what is new alone:
 * that takes a millisecond.
 */
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as (options: { type: 'minor' }) => void;

export interface S3ObjectWriterOptions {
  bucket: string;
  client?: S3Client;
}

export const createS3ObjectWriter = ({ bucket, client = createS3Client({ bucket }) }: S3ObjectWriterOptions): ObjectWriter => ({
  async write(key, bytes) {
    // The same ones again and again: new ones would be in memory until the engine looks for what nobody needs.
    const free = Array.from({ length: partsAtOnce + 1 }, () => Buffer.allocUnsafeSlow(partBytes));
    const parts = inParts(bytes, free);
    try {
      const { value: first } = await parts.next();
      const second = await parts.next();
      if (second.done) return await putWhole(client, key, first ?? Buffer.alloc(0));
      return await putInParts(client, key, chain([first as Buffer, second.value], parts), free);
    } finally {
      await parts.return();
    }
  },
});

/** At least one part, though it may be empty. Each is of one of the `free` buffers, and is given back there when it was sent. */
async function* inParts(bytes: AsyncIterable<Uint8Array>, free: Buffer[]): AsyncGenerator<Buffer, void, undefined> {
  const takeFree = () => free.pop() ?? Buffer.allocUnsafeSlow(partBytes);
  let part = takeFree();
  let length = 0;
  for await (const chunk of bytes) {
    for (let at = 0; at < chunk.length; ) {
      if (length === partBytes) {
        yield part;
        collectGarbage({ type: 'minor' });
        part = takeFree();
        length = 0;
      }
      const copied = Math.min(chunk.length - at, partBytes - length);
      part.set(chunk.subarray(at, at + copied), length);
      at += copied;
      length += copied;
    }
  }
  yield part.subarray(0, length);
}

async function* chain(first: readonly Buffer[], rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield* first;
  yield* rest;
}

const putWhole = (client: S3Client, key: string, body: Buffer): Promise<'written' | 'exists'> =>
  unlessExists(async () => {
    const answer = await client.send({ method: 'PUT', key, headers: { 'if-none-match': '*' }, body });
    answer.resume();
  });

/** Nothing can be seen of the object before all of its parts are there; a failure takes back those that are. */
async function putInParts(client: S3Client, key: string, parts: AsyncIterable<Buffer>, free: Buffer[]): Promise<'written' | 'exists'> {
  const uploadId = await beginUpload(client, key);
  const failed = new AbortController();
  const underWay = new Set<Promise<void>>();
  let outcome: 'written' | 'exists' | undefined;
  try {
    const tags: string[] = [];
    for await (const part of parts) {
      const partNumber = tags.push('');
      const sent: Promise<void> = putPart(client, { key, uploadId, partNumber }, part, failed.signal).then((tag) => {
        tags[partNumber - 1] = tag;
        free.push(part);
        underWay.delete(sent);
      });
      sent.catch(() => {}); // whoever waits next for what is under way is told
      underWay.add(sent);
      if (underWay.size > partsAtOnce) await Promise.race(underWay);
    }
    await Promise.all(underWay);
    outcome = await unlessExists(() => completeUpload(client, { key, uploadId }, tags));
    return outcome;
  } finally {
    if (outcome !== 'written') {
      failed.abort();
      await Promise.allSettled(underWay);
      // What cannot be taken back now, the bucket's rule `end-unfinished-uploads` does.
      await client.send({ method: 'DELETE', key, query: { uploadId } }).then(
        (answer) => answer.resume(),
        () => {},
      );
    }
  }
}

const beginUpload = async (client: S3Client, key: string): Promise<string> => {
  const answer = await textOf(client, { method: 'POST', key, query: { uploads: '' } });
  const uploadId = /<UploadId>([^<]+)<\/UploadId>/.exec(answer)?.[1];
  if (uploadId === undefined) throw storageUnavailable(new Error('S3 named no upload'));
  return uploadId;
};

const putPart = async (
  client: S3Client,
  { key, uploadId, partNumber }: { key: string; uploadId: string; partNumber: number },
  body: Buffer,
  signal: AbortSignal,
): Promise<string> => {
  try {
    const answer = await client.send({ method: 'PUT', key, query: { partNumber: String(partNumber), uploadId }, body }, signal);
    answer.resume();
    const { etag } = answer.headers;
    if (etag === undefined) throw new Error('S3 gave a part no tag');
    return etag;
  } catch (error) {
    throw storageUnavailable(error);
  }
};

const completeUpload = async (client: S3Client, { key, uploadId }: { key: string; uploadId: string }, tags: readonly string[]) => {
  const parts = tags.map((tag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${tag}</ETag></Part>`).join('');
  const body = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts}</CompleteMultipartUpload>`;
  const headers = { 'if-none-match': '*', 'content-type': 'application/xml' };
  const answer = await text(await client.send({ method: 'POST', key, query: { uploadId }, headers, body }));
  // S3 begins its answer before it has put the parts together, with a 200 that may turn out wrong.
  if (!answer.includes('<CompleteMultipartUploadResult')) throw new S3Refusal(200, answer);
};

const textOf = async (client: S3Client, request: S3Request): Promise<string> => {
  try {
    return await text(await client.send(request));
  } catch (error) {
    throw storageUnavailable(error);
  }
};

const unlessExists = async (write: () => Promise<void>): Promise<'written' | 'exists'> => {
  try {
    await write();
    return 'written';
  } catch (error) {
    if (error instanceof S3Refusal && (error.status === 412 || error.code === 'PreconditionFailed')) return 'exists';
    throw storageUnavailable(error);
  }
};
