import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { afterAll } from 'vitest';
import { type S3ServerOptions, startS3Server } from '../../dev/local-aws/s3-server.ts';

const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };

/** The S3 that `npm start` uses, empty, for a test file; gone when the file has ended. */
export const startLocalS3 = async ({ bucket, onObjectCreated }: { bucket: string } & Pick<S3ServerOptions, 'onObjectCreated'>) => {
  const directory = await mkdtemp(join(tmpdir(), 'local-s3-'));
  const server = await startS3Server({ directory, credentials, buckets: [bucket], ...(onObjectCreated && { onObjectCreated }) });
  const options = { endpoint: server.url, region: 'eu-central-1', credentials };
  const client = new S3Client({
    ...options,
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  let isRunning = true;
  const stop = async () => {
    if (!isRunning) return;
    isRunning = false;
    client.destroy();
    await server.close();
    await rm(directory, { recursive: true });
  };
  afterAll(stop);
  return { url: server.url, client, options, stop };
};
