import type { Readable } from 'node:stream';
import { addSeconds, type Clock } from '../clock.ts';
import { DomainError } from '../errors.ts';
import { createS3, type OpenS3 } from './s3-client.ts';
import { type ObjectVersion, type Storage, uploadSeconds } from './storage.ts';

/** A device may start its download much later than the command came, for example because it was in a tunnel. */
const downloadSeconds = 3600;
/** The longest that a signature can be valid. A link also dies with the session of the role that signed it. */
const longestDownloadSeconds = 604_800;

/**
 * For all attempts together. S3 answers in some 10 ms, after a cold start in some 200 ms. An answer that takes longer than this will not come
 * soon, and callers who only want to read versions should hardly notice.
 */
const probeMilliseconds = 1_500;

const hexToBase64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64');
const base64ToHex = (base64: string) => Buffer.from(base64, 'base64').toString('hex');

export interface S3StorageOptions {
  bucket: string;
  now: Clock;
  /** Default: the function's. */
  s3?: OpenS3;
}

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

export const createS3Storage = ({ bucket, now, s3 = createS3() }: S3StorageOptions): Storage => {
  const at: Bucket = { bucket, now, s3 };
  return {
    probe: () => probe(at),
    hasObject: async (object) => (await head(at, object)) !== undefined,
    findLatest: (key) => findLatest(at, key),
    signUpload: (file) => signUpload(at, file),
    signDownload: (object, method, seconds) => signDownload(at, object, method, seconds),
    findObject: (object) => findObject(at, object),
    toLink: (object) => toLink(bucket, object),
    fromLink: (link) => fromLink(bucket, link),
  };
};

type Bucket = Required<S3StorageOptions>;
/** A function of the storage, with the bucket before its parameters. */
type InBucket<Name extends keyof Storage> = (bucket: Bucket, ...parameters: Parameters<Storage[Name]>) => ReturnType<Storage[Name]>;

const probe = async ({ bucket, s3 }: Bucket): Promise<void> => {
  const { sdk, client } = await s3();
  try {
    await client.send(new sdk.HeadBucketCommand({ Bucket: bucket }), { abortSignal: AbortSignal.timeout(probeMilliseconds) });
  } catch (error) {
    throw storageUnavailable(error);
  }
};

/** The version that a HEAD finds, or undefined where there is none. */
const head = async ({ bucket, s3 }: Bucket, { key, version_id }: { key: string; version_id?: string }) => {
  const { sdk, client } = await s3();
  try {
    const command = new sdk.HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: version_id });
    return await client.send(command, { abortSignal: AbortSignal.timeout(probeMilliseconds) });
  } catch (error) {
    // Without a body, S3 has but the status to tell of: 405 is a mark that the object was deleted, 400 an id of no version.
    if (error instanceof sdk.S3ServiceException && absentStatuses.has(error.$metadata.httpStatusCode ?? 0)) return undefined;
    throw storageUnavailable(error);
  }
};

const findLatest = async (bucket: Bucket, key: string): Promise<ObjectVersion | undefined> => {
  const found = await head(bucket, { key });
  if (!found) return undefined;
  if (found.VersionId === undefined) throw storageUnavailable(new Error('The bucket has no versions'));
  return { key, version_id: found.VersionId };
};

const signUpload: InBucket<'signUpload'> = async ({ bucket, now, s3 }, { key, size_bytes, sha256 }) => {
  const { sdk, client } = await s3();
  const checksum = hexToBase64(sha256);
  const command = new sdk.PutObjectCommand({
    ...{ Bucket: bucket, Key: key, IfNoneMatch: '*' },
    ...{ ContentLength: size_bytes, ChecksumSHA256: checksum },
  });
  const url = await sdk.getSignedUrl(client, command, {
    expiresIn: uploadSeconds,
    // Moved into the query, as the presigner likes to, S3 would not check it.
    unhoistableHeaders: new Set(['x-amz-checksum-sha256']),
    signableHeaders: new Set(['host', 'content-length', 'if-none-match', 'x-amz-checksum-sha256']),
  });
  const headers = { 'content-length': String(size_bytes), 'if-none-match': '*', 'x-amz-checksum-sha256': checksum };
  return { method: 'PUT', url, headers, expires_dt: addSeconds(now(), uploadSeconds) };
};

const signDownload: InBucket<'signDownload'> = async (
  { bucket, now, s3 },
  { key, version_id },
  method = 'GET',
  seconds = downloadSeconds,
) => {
  const { sdk, client } = await s3();
  const object = { Bucket: bucket, Key: key, VersionId: version_id };
  const command = method === 'GET' ? new sdk.GetObjectCommand(object) : new sdk.HeadObjectCommand(object);
  const expiresIn = Math.min(longestDownloadSeconds, seconds);
  return { url: await sdk.getSignedUrl(client, command, { expiresIn }), expires_dt: addSeconds(now(), expiresIn) };
};

const findObject: InBucket<'findObject'> = async ({ bucket, s3 }, { key, version_id }) => {
  const { sdk, client } = await s3();
  try {
    const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: key, VersionId: version_id, ChecksumMode: 'ENABLED' });
    const { Body, ContentLength, ChecksumSHA256, ChecksumType } = await client.send(command);
    // In Node the SDK answers a Readable.
    const body = Body as Readable;
    if (ContentLength === undefined) {
      body.destroy();
      throw new Error('S3 gave no length');
    }
    // A multipart upload's checksum may be one of checksums, which says nothing about the whole.
    const isWhole = ChecksumSHA256 !== undefined && ChecksumType !== 'COMPOSITE' && !ChecksumSHA256.includes('-');
    return {
      size_bytes: ContentLength,
      sha256: isWhole ? base64ToHex(ChecksumSHA256) : undefined,
      bytes: readOrThrowUnavailable(body),
      discard: () => body.destroy(),
    };
  } catch (error) {
    if (error instanceof sdk.S3ServiceException && absences.has(error.name)) return undefined;
    throw storageUnavailable(error);
  }
};

const toLink = (bucket: string, { key, version_id }: ObjectVersion): string =>
  `s3://${bucket}/${key}?versionId=${encodeURIComponent(version_id)}`;

const fromLink = (bucket: string, link: string): ObjectVersion => {
  const prefix = `s3://${bucket}/`;
  const query = link.lastIndexOf('?versionId=');
  if (!link.startsWith(prefix) || query < 0) throw new Error(`Not a file link of bucket ${bucket}`);
  return { key: link.slice(prefix.length, query), version_id: decodeURIComponent(link.slice(query + '?versionId='.length)) };
};
