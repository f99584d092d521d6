import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { addSeconds, type Clock } from '../clock.ts';
import { DomainError } from '../errors.ts';
import { type Storage, uploadSeconds } from './storage.ts';

/** A device may be told to update and start its download much later, in a tunnel's far end. */
const downloadSeconds = 3600;
/** The longest that a signature can be valid. A link also dies with the session of the role that signed it. */
const longestDownloadSeconds = 604_800;

/**
 * All attempts together. S3 answers in some 10 ms, and after a cold start in some 200: what has not come by then will not come soon, and
 * who only wants to read versions should hardly notice.
 */
const probeMilliseconds = 1_500;

const hexToBase64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64');
const base64ToHex = (base64: string) => Buffer.from(base64, 'base64').toString('hex');

export interface S3StorageOptions {
  bucket: string;
  now: Clock;
  client?: S3Client;
}

/** For who reads and writes whole files at once: a reader that waits for the writer must not be taken for one that is stuck. */
export const transferTimeouts = { connectionTimeout: 1_000, requestTimeout: 30_000, throwOnRequestTimeout: true, socketTimeout: 60_000 };

/** The SDK takes endpoint, region and credentials from the environment (`AWS_ENDPOINT_URL_S3` on a laptop). */
export const createS3Client = (config: S3ClientConfig = {}): S3Client =>
  new S3Client({
    maxAttempts: 3,
    // Without throwOnRequestTimeout the SDK only logs a warning and waits on. The second one is for bytes that stop coming.
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 5_000, throwOnRequestTimeout: true, socketTimeout: 5_000 },
    // The SDK's own CRC32 would be signed into links that promise a SHA-256 instead.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...config,
  });

/** What S3 answers when there is no such version: other 4xx are about the caller (an expired token, no bucket) and pass. */
const absences = new Set(['NoSuchKey', 'NoSuchVersion', 'MethodNotAllowed', 'InvalidArgument']);

const absentStatuses = new Set([400, 404, 405]);

export const storageUnavailable = (cause: unknown) =>
  new DomainError('storage.unavailable', 'The file storage does not answer', { cause, retryAfterSeconds: 5 });

async function* readOrThrowUnavailable(body: Readable): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw storageUnavailable(error);
  }
}

export const createS3Storage = ({ bucket, now, client = createS3Client() }: S3StorageOptions): Storage => ({
  async probe() {
    try {
      await client.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal: AbortSignal.timeout(probeMilliseconds) });
    } catch (error) {
      throw storageUnavailable(error);
    }
  },

  async hasObject({ key, version_id }) {
    try {
      await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: version_id }), {
        abortSignal: AbortSignal.timeout(probeMilliseconds),
      });
      return true;
    } catch (error) {
      // Without a body, S3 has but the status to tell of: 405 is a mark that the object was deleted, 400 an id of no version.
      if (error instanceof S3ServiceException && absentStatuses.has(error.$metadata.httpStatusCode ?? 0)) return false;
      throw storageUnavailable(error);
    }
  },

  async findLatest(key) {
    try {
      const { VersionId } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), {
        abortSignal: AbortSignal.timeout(probeMilliseconds),
      });
      if (VersionId === undefined) throw new Error('The bucket has no versions');
      return { key, version_id: VersionId };
    } catch (error) {
      if (error instanceof S3ServiceException && absentStatuses.has(error.$metadata.httpStatusCode ?? 0)) return undefined;
      throw storageUnavailable(error);
    }
  },

  async signUpload({ key, size_bytes, sha256 }) {
    const checksum = hexToBase64(sha256);
    const command = new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      ContentLength: size_bytes,
      ChecksumSHA256: checksum,
      IfNoneMatch: '*',
    });
    const url = await getSignedUrl(client, command, {
      expiresIn: uploadSeconds,
      // Moved into the query, as the presigner likes to, S3 would not check it.
      unhoistableHeaders: new Set(['x-amz-checksum-sha256']),
      signableHeaders: new Set(['host', 'content-length', 'if-none-match', 'x-amz-checksum-sha256']),
    });
    const headers = { 'content-length': String(size_bytes), 'if-none-match': '*', 'x-amz-checksum-sha256': checksum };
    return { method: 'PUT', url, headers, expires_dt: addSeconds(now(), uploadSeconds) };
  },

  async signDownload({ key, version_id }, method = 'GET', seconds = downloadSeconds) {
    const object = { Bucket: bucket, Key: key, VersionId: version_id };
    const command = method === 'GET' ? new GetObjectCommand(object) : new HeadObjectCommand(object);
    const expiresIn = Math.min(longestDownloadSeconds, seconds);
    return { url: await getSignedUrl(client, command, { expiresIn }), expires_dt: addSeconds(now(), expiresIn) };
  },

  async findObject({ key, version_id }) {
    try {
      const { Body, ContentLength, ChecksumSHA256, ChecksumType } = await client.send(
        new GetObjectCommand({ Bucket: bucket, Key: key, VersionId: version_id, ChecksumMode: 'ENABLED' }),
      );
      // In Node the SDK answers a Readable.
      const body = Body as Readable;
      if (ContentLength === undefined) throw new Error('S3 gave no length');
      // A multipart upload's checksum may be one of checksums, which says nothing about the whole.
      const isWhole = ChecksumSHA256 !== undefined && ChecksumType !== 'COMPOSITE' && !ChecksumSHA256.includes('-');
      return {
        size_bytes: ContentLength,
        sha256: isWhole ? base64ToHex(ChecksumSHA256) : undefined,
        bytes: readOrThrowUnavailable(body),
        discard: () => body.destroy(),
      };
    } catch (error) {
      if (error instanceof S3ServiceException && absences.has(error.name)) return undefined;
      throw storageUnavailable(error);
    }
  },

  toLink({ key, version_id }) {
    return `s3://${bucket}/${key}?versionId=${encodeURIComponent(version_id)}`;
  },

  fromLink(link) {
    const prefix = `s3://${bucket}/`;
    const query = link.lastIndexOf('?versionId=');
    if (!link.startsWith(prefix) || query < 0) throw new Error(`Not a file link of bucket ${bucket}`);
    return { key: link.slice(prefix.length, query), version_id: decodeURIComponent(link.slice(query + '?versionId='.length)) };
  },
});
