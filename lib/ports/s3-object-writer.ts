import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { UploadPartCommand } from '@aws-sdk/client-s3';
import { bytesOf, type ObjectWriter, type StoredBytes } from './object-writer.ts';
import { createS3, type OpenS3, type S3 } from './s3-client.ts';
import { storageUnavailable } from './s3-storage.ts';
import type { ObjectVersion } from './storage.ts';

/** The smallest part that S3 accepts. It accepts 10,000 parts, which are 50 GB. */
const partBytes = 5 * 1024 ** 2;
/** S3 copies up to 5 GiB as one part. It has answered for this much long before the client gives up on it. */
const mostCopiedBytes = 256 * 1024 ** 2;
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
  async write(key, pieces) {
    const object = { ...(await s3()), target: { Bucket: bucket, Key: key } };
    // The same ones again and again: new ones would be in memory until the engine looks for what nobody needs.
    const free = Array.from({ length: partsAtOnce + 1 }, () => Buffer.allocUnsafeSlow(partBytes));
    const parts = inParts(pieces, free);
    try {
      const { value: first } = await parts.next();
      const second = await parts.next();
      // Nothing is copied before a part is full.
      if (second.done) return await putWhole(object, (first as Buffer | undefined) ?? Buffer.alloc(0));
      return await putInParts(object, chain([first as Part, second.value], parts), free);
    } finally {
      await parts.return();
    }
  },
});

/** Bytes of a stored object that S3 copies into the new one. */
interface Range {
  object: ObjectVersion;
  first: number;
  last: number;
}
type Part = Buffer | Range;
const isRange = (part: Part): part is Range => 'object' in part;

/**
 * Cuts pieces into parts, at least one, which may be empty. Bytes are put into one of the `free` buffers; the sender gives the buffer back. Where a
 * part is full and the rest of a stored object suffices for a part, that rest is copied by S3: its bytes pass here all the same.
 */
async function* inParts(pieces: AsyncIterable<Uint8Array | StoredBytes>, free: Buffer[]): AsyncGenerator<Part, void, undefined> {
  const takeFree = () => free.pop() ?? Buffer.allocUnsafeSlow(partBytes);
  const keepMemory = createMemoryKeeper();
  let part = takeFree();
  let length = 0;
  let copied = 0;
  for await (const piece of pieces) {
    const chunk = bytesOf(piece);
    for (let at = Math.min(copied, chunk.length); at < chunk.length; ) {
      if (length === partBytes) {
        yield part;
        part = takeFree();
        length = 0;
        const ranges = rangesFrom(piece, at);
        yield* ranges;
        copied = at + ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
        at = Math.min(copied, chunk.length);
      }
      const taken = Math.min(chunk.length - at, partBytes - length);
      part.set(chunk.subarray(at, at + taken), length);
      at += taken;
      length += taken;
    }
    copied = Math.max(0, copied - chunk.length);
    keepMemory(chunk.length);
  }
  yield part.subarray(0, length);
}

/** The rest of a stored object from a place in a piece of it, if it is large enough for a part, in as few parts as S3 copies quickly. */
export const rangesFrom = (piece: Uint8Array | StoredBytes, at: number): Range[] => {
  if (piece instanceof Uint8Array) return [];
  const { object, size_bytes } = piece;
  const begin = piece.offset + at;
  const rest = size_bytes - begin;
  if (rest < partBytes) return [];
  const count = Math.ceil(rest / mostCopiedBytes);
  const placeOf = (range: number) => begin + Math.floor((rest * range) / count);
  return Array.from({ length: count }, (_, range) => ({ object, first: placeOf(range), last: placeOf(range + 1) - 1 }));
};

/** Looks for what nobody needs after each {@link partBytes} that have passed. */
const createMemoryKeeper = () => {
  let passed = 0;
  return (bytes: number): void => {
    passed += bytes;
    if (passed < partBytes) return;
    passed = 0;
    collectGarbage({ type: 'minor' });
  };
};

async function* chain(first: readonly Part[], rest: AsyncIterable<Part>): AsyncGenerator<Part> {
  yield* first;
  yield* rest;
}

interface ObjectToWrite extends S3 {
  target: { Bucket: string; Key: string };
}

const putWhole = (object: ObjectToWrite, Body: Buffer): Promise<'written' | 'exists'> =>
  unlessExists(object, ({ sdk, client, target }) => client.send(new sdk.PutObjectCommand({ ...target, Body, IfNoneMatch: '*' })));

/** Uploads in parts. The object becomes visible only when all parts are there; after a failure the uploaded parts are deleted. */
async function putInParts(object: ObjectToWrite, parts: AsyncIterable<Part>, free: Buffer[]): Promise<'written' | 'exists'> {
  const UploadId = await beginUpload(object);
  const failed = new AbortController();
  const underWay = new Set<Promise<void>>();
  let outcome: 'written' | 'exists' | undefined;
  try {
    const tags: string[] = [];
    for await (const part of parts) {
      // The last one, if nothing is left for it.
      if (tags.length > 0 && !isRange(part) && part.length === 0) continue;
      const PartNumber = tags.push('');
      const place = { UploadId, PartNumber };
      const put = isRange(part) ? copyPart(object, place, part, failed.signal) : putPart(object, place, part, failed.signal);
      const sent: Promise<void> = put.then((tag) => {
        tags[PartNumber - 1] = tag;
        if (!isRange(part)) free.push(part);
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

const copyPart = async (
  { sdk, client, target }: ObjectToWrite,
  part: { UploadId: string; PartNumber: number },
  { object: { key, version_id }, first, last }: Range,
  abortSignal: AbortSignal,
): Promise<string> => {
  try {
    const path = [target.Bucket, ...key.split('/')].map(encodeURIComponent).join('/');
    const source = { CopySource: `${path}?versionId=${encodeURIComponent(version_id)}`, CopySourceRange: `bytes=${first}-${last}` };
    const { CopyPartResult } = await client.send(new sdk.UploadPartCopyCommand({ ...target, ...part, ...source }), { abortSignal });
    if (CopyPartResult?.ETag === undefined) throw new Error('S3 gave a part no tag');
    return CopyPartResult.ETag;
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
