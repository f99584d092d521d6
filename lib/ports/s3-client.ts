import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { credentialsOfRole } from '../aws-credentials.ts';
import { onDemand } from '../on-demand.ts';

export interface S3 {
  sdk: typeof import('../sdk/s3.ts');
  client: S3Client;
}

/** Loads the SDK with the first call. */
export type OpenS3 = () => Promise<S3>;

/** The SDK's; without throwOnRequestTimeout it only logs a warning and waits on. The last one is for bytes that stop coming or going. */
const timeouts = { connectionTimeout: 1_000, requestTimeout: 5_000, throwOnRequestTimeout: true, socketTimeout: 5_000 };

/** For who reads and writes whole files at once: a reader that waits for the writer must not be taken for one that is stuck. */
export const transferTimeouts = { ...timeouts, requestTimeout: 30_000, socketTimeout: 60_000 };

/**
 * By default the function's region and role, and the endpoint of `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, as on a laptop. The bucket is a
 * part of the host, as Amazon wants it, or of the path, as every other server understands it.
 */
export const createS3 = (config: S3ClientConfig = {}): OpenS3 =>
  onDemand(async () => {
    const sdk = await import('../sdk/s3.ts');
    const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL } = process.env;
    const client = new sdk.S3Client({
      maxAttempts: 3,
      requestHandler: timeouts,
      credentials: async () => credentialsOfRole(),
      forcePathStyle: (config.endpoint ?? AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL) !== undefined,
      // The SDK's own CRC32 would be signed into links that promise a SHA-256 instead.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      ...config,
    });
    return { sdk, client };
  });
