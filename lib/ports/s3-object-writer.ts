import { Readable } from 'node:stream';
import { type S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { ObjectWriter } from './object-writer.ts';
import { createS3Client, storageUnavailable } from './s3-storage.ts';

/** Two parts are on their way while the next one is gathered: what is in memory at once. S3 takes 10,000 parts: 80 GB. */
const partBytes = 8 * 1024 ** 2;
const partsAtOnce = 2;

export interface S3ObjectWriterOptions {
  bucket: string;
  client?: S3Client;
}

export const createS3ObjectWriter = ({ bucket, client = createS3Client() }: S3ObjectWriterOptions): ObjectWriter => ({
  async write(key, bytes) {
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
