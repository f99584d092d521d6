import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { ObjectWriter } from './object-writer.ts';
import { createS3Client, storageUnavailable } from './s3-storage.ts';

/** The smallest that S3 takes, and one on its way at a time: what is in memory at once. S3 takes 10,000 parts: 50 GB. */
const partBytes = 5 * 1024 ** 2;
const partsAtOnce = 1;
/**
 * Buffers lie outside the heap, and the engine lets up to 64 MB of them become old before it looks for those that nobody needs: as much as
 * this function may have above what it has when idle. So it is told to look, after so many bytes.
 */
const collectedBytes = 4 * partBytes;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

export interface S3ObjectWriterOptions {
  bucket: string;
  client?: S3Client;
}

export const createS3ObjectWriter = ({ bucket, client = createS3Client() }: S3ObjectWriterOptions): ObjectWriter => ({
  async write(key, bytes) {
    let sinceCollected = 0;
    let failure: { error: unknown } | undefined;
    // Only what the bytes themselves throw: a failed upload throws its own error into whoever gives them.
    const remembering = async function* () {
      const source = bytes[Symbol.asyncIterator]();
      try {
        for (;;) {
          const next = await source.next().catch((error: unknown) => {
            failure = { error };
            throw error;
          });
          if (next.done) return;
          sinceCollected += next.value.length;
          if (sinceCollected > collectedBytes) {
            sinceCollected = 0;
            collectGarbage();
          }
          yield next.value;
        }
      } finally {
        await source.return?.();
      }
    };
    const Body = Readable.from(remembering(), { objectMode: false });
    try {
      // What is smaller than a part is one PUT. A failure ends the multipart upload: lib-storage aborts it.
      const upload = new Upload({
        client,
        params: { Bucket: bucket, Key: key, Body, IfNoneMatch: '*' },
        partSize: partBytes,
        queueSize: partsAtOnce,
      });
      await upload.done();
      return 'written';
    } catch (error) {
      if (failure) throw failure.error;
      if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412) return 'exists';
      throw storageUnavailable(error);
    } finally {
      Body.destroy();
    }
  },
});
