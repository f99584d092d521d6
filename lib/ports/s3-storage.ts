import { addSeconds, type Clock } from '../clock.ts';
import { DomainError } from '../errors.ts';
import { createS3Client, type S3Client, S3Refusal } from './s3-client.ts';
import { type ObjectVersion, type Storage, uploadSeconds } from './storage.ts';

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

/** What S3 answers when there is no such version: other 4xx are about the caller (an expired token, no bucket) and pass. */
const absences = new Set(['NoSuchKey', 'NoSuchVersion', 'MethodNotAllowed', 'InvalidArgument']);

const absentStatuses = new Set([400, 404, 405]);

export const storageUnavailable = (cause: unknown) =>
  new DomainError('storage.unavailable', 'The file storage does not answer', { cause, retryAfterSeconds: 5 });

async function* readOrThrowUnavailable(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw storageUnavailable(error);
  }
}

export const createS3Storage = ({ bucket, now, client = createS3Client({ bucket }) }: S3StorageOptions): Storage => {
  /** The headers of an object, or undefined where there is none. */
  const head = async (key: string, query: Record<string, string> = {}) => {
    try {
      const answer = await client.send({ method: 'HEAD', key, query }, AbortSignal.timeout(probeMilliseconds));
      answer.resume();
      return answer.headers;
    } catch (error) {
      // Without a body, S3 has but the status to tell of: 405 is a mark that the object was deleted, 400 an id of no version.
      if (error instanceof S3Refusal && absentStatuses.has(error.status)) return undefined;
      throw storageUnavailable(error);
    }
  };

  return {
    async probe() {
      try {
        const answer = await client.send({ method: 'HEAD' }, AbortSignal.timeout(probeMilliseconds));
        answer.resume();
      } catch (error) {
        throw storageUnavailable(error);
      }
    },

    async hasObject({ key, version_id }) {
      return (await head(key, { versionId: version_id })) !== undefined;
    },

    async findLatest(key) {
      const headers = await head(key);
      if (!headers) return undefined;
      const version_id = headers['x-amz-version-id'];
      if (typeof version_id !== 'string') throw storageUnavailable(new Error('The bucket has no versions'));
      return { key, version_id };
    },

    async signUpload({ key, size_bytes, sha256 }) {
      // Headers, not a part of the query: S3 checks nothing that it finds there.
      const headers = { 'content-length': String(size_bytes), 'if-none-match': '*', 'x-amz-checksum-sha256': hexToBase64(sha256) };
      const url = client.signLink({ method: 'PUT', key, headers, seconds: uploadSeconds });
      return { method: 'PUT', url, headers, expires_dt: addSeconds(now(), uploadSeconds) };
    },

    async signDownload({ key, version_id }, method = 'GET', wanted = downloadSeconds) {
      const seconds = Math.min(longestDownloadSeconds, wanted);
      return { url: client.signLink({ method, key, query: { versionId: version_id }, seconds }), expires_dt: addSeconds(now(), seconds) };
    },

    async findObject({ key, version_id }) {
      try {
        const headers = { 'x-amz-checksum-mode': 'ENABLED' };
        const body = await client.send({ method: 'GET', key, query: { versionId: version_id }, headers });
        const { 'content-length': length, 'x-amz-checksum-sha256': checksum, 'x-amz-checksum-type': type } = body.headers;
        if (length === undefined) {
          body.destroy();
          throw new Error('S3 gave no length');
        }
        // A multipart upload's checksum may be one of checksums, which says nothing about the whole.
        const isWhole = typeof checksum === 'string' && type !== 'COMPOSITE' && !checksum.includes('-');
        return {
          size_bytes: Number(length),
          sha256: isWhole ? base64ToHex(checksum) : undefined,
          bytes: readOrThrowUnavailable(body),
          discard: () => body.destroy(),
        };
      } catch (error) {
        if (error instanceof S3Refusal && absences.has(error.code)) return undefined;
        throw storageUnavailable(error);
      }
    },

    toLink: (object) => toLink(bucket, object),
    fromLink: (link) => fromLink(bucket, link),
  };
};

const toLink = (bucket: string, { key, version_id }: ObjectVersion): string =>
  `s3://${bucket}/${key}?versionId=${encodeURIComponent(version_id)}`;

const fromLink = (bucket: string, link: string): ObjectVersion => {
  const prefix = `s3://${bucket}/`;
  const query = link.lastIndexOf('?versionId=');
  if (!link.startsWith(prefix) || query < 0) throw new Error(`Not a file link of bucket ${bucket}`);
  return { key: link.slice(prefix.length, query), version_id: decodeURIComponent(link.slice(query + '?versionId='.length)) };
};
