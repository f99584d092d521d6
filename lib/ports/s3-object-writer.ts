import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { UploadPartCommand } from '@aws-sdk/client-s3';
import type { ObjectWriter } from './object-writer.ts';
import { createS3, type OpenS3, type S3 } from './s3-client.ts';
import { storageUnavailable } from './s3-storage.ts';

/** The smallest part that S3 accepts. It accepts 10,000 parts, which are 50 GB. */
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
  /** Default: the function's. */
  s3?: OpenS3;
}

export const createS3ObjectWriter = ({ bucket, s3 = createS3() }: S3ObjectWriterOptions): ObjectWriter => ({
  async write(key, bytes) {
    const object = { ...(await s3()), target: { Bucket: bucket, Key: key } };
    // The same ones again and again: new ones would be in memory until the engine looks for what nobody needs.
    const free = Array.from({ length: partsAtOnce + 1 }, () => Buffer.allocUnsafeSlow(partBytes));
    const parts = inParts(bytes, free);
    try {
      const { value: first } = await parts.next();
      const second = await parts.next();
      if (second.done) return await putWhole(object, first ?? Buffer.alloc(0));
      return await putInParts(object, chain([first as Buffer, second.value], parts), free);
    } finally {
      await parts.return();
    }
  },
});

/** Cuts bytes into parts, at least one, which may be empty. Each part is in one of the `free` buffers; the sender gives the buffer back. */
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

interface ObjectToWrite extends S3 {
  target: { Bucket: string; Key: string };
}

const putWhole = (object: ObjectToWrite, Body: Buffer): Promise<'written' | 'exists'> =>
  unlessExists(object, ({ sdk, client, target }) => client.send(new sdk.PutObjectCommand({ ...target, Body, IfNoneMatch: '*' })));

/** Uploads in parts. The object becomes visible only when all parts are there; after a failure the uploaded parts are deleted. */
async function putInParts(object: ObjectToWrite, parts: AsyncIterable<Buffer>, free: Buffer[]): Promise<'written' | 'exists'> {
  const UploadId = await beginUpload(object);
  const failed = new AbortController();
  const underWay = new Set<Promise<void>>();
  let outcome: 'written' | 'exists' | undefined;
  try {
    const tags: string[] = [];
    for await (const part of parts) {
      const PartNumber = tags.push('');
      const sent: Promise<void> = putPart(object, { UploadId, PartNumber }, part, failed.signal).then((tag) => {
        tags[PartNumber - 1] = tag;
        free.push(part);
        underWay.delete(sent);
      });
      sent.catch(() => {}); // whoever waits next for what is under way is told
      underWay.add(sent);
      if (underWay.size > partsAtOnce) await Promise.race(underWay);
    }
    await Promise.all(underWay);
    outcome = await completeUpload(object, UploadId, tags);
    return outcome;
  } finally {
    if (outcome !== 'written') {
      failed.abort();
      await Promise.allSettled(underWay);
      const { sdk, client, target } = object;
      // What cannot be taken back now, the bucket's rule `end-unfinished-uploads` does.
      await client.send(new sdk.AbortMultipartUploadCommand({ ...target, UploadId })).catch(() => {});
    }
  }
}

const beginUpload = async ({ sdk, client, target }: ObjectToWrite): Promise<string> => {
  try {
    const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(target));
    if (UploadId === undefined) throw new Error('S3 named no upload');
    return UploadId;
  } catch (error) {
    throw storageUnavailable(error);
  }
};

/**
 * A part is signed without its bytes, so that the SDK does not hash each of them once more: TLS protects them on their way, and the package becomes
 * available only when what S3 has stored has the SHA-256 that was computed here (`promiseDraft`).
 */
const leaveBodyUnsigned = ({ middlewareStack }: UploadPartCommand): void =>
  middlewareStack.add(
    (next) => (args) => {
      (args.request as { headers: Record<string, string> }).headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build' },
  );

const putPart = async (
  { sdk, client, target }: ObjectToWrite,
  part: { UploadId: string; PartNumber: number },
  Body: Buffer,
  abortSignal: AbortSignal,
): Promise<string> => {
  try {
    const command = new sdk.UploadPartCommand({ ...target, ...part, Body });
    leaveBodyUnsigned(command);
    const { ETag } = await client.send(command, { abortSignal });
    if (ETag === undefined) throw new Error('S3 gave a part no tag');
    return ETag;
  } catch (error) {
    throw storageUnavailable(error);
  }
};

const completeUpload = (object: ObjectToWrite, UploadId: string, tags: readonly string[]): Promise<'written' | 'exists'> =>
  unlessExists(object, ({ sdk, client, target }) => {
    const Parts = tags.map((ETag, i) => ({ PartNumber: i + 1, ETag }));
    const upload = { ...target, UploadId, MultipartUpload: { Parts }, IfNoneMatch: '*' };
    return client.send(new sdk.CompleteMultipartUploadCommand(upload));
  });

const unlessExists = async (object: ObjectToWrite, write: (object: ObjectToWrite) => Promise<unknown>): Promise<'written' | 'exists'> => {
  try {
    await write(object);
    return 'written';
  } catch (error) {
    // As the answer's status; or as its body, where S3 had begun with a 200 before it put the parts together.
    const isThere =
      error instanceof object.sdk.S3ServiceException && (error.$metadata.httpStatusCode === 412 || error.name === 'PreconditionFailed');
    if (isThere) return 'exists';
    throw storageUnavailable(error);
  }
};
