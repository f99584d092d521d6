import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Call, keptHeaders, publish, send, sendXml, withBody } from './s3-objects.ts';
import { S3Error } from './s3-signature.ts';
import * as store from './s3-store.ts';

const smallestPart = 5 * 1024 * 1024; // except for the last

export function listUploads({ response, bucket, query }: Call): void {
  const uploads = [...bucket.uploads.values()].filter(({ key }) => key.startsWith(query.get('prefix') ?? ''));
  const elements = uploads.map(({ key, uploadId, initiated }) => ({ Upload: [{ Key: key, UploadId: uploadId, Initiated: initiated }] }));
  sendXml(response, 'ListMultipartUploadsResult', [{ Bucket: bucket.name, IsTruncated: false }, ...elements]);
}

export function createUpload(call: Call): void {
  const { response, bucket, key } = call;
  const uploadId = randomUUID();
  bucket.uploads.set(uploadId, { uploadId, key, initiated: new Date().toISOString(), headers: keptHeaders(call), parts: new Map() });
  sendXml(response, 'InitiateMultipartUploadResult', [{ Bucket: bucket.name, Key: key, UploadId: uploadId }]);
}

function getUpload({ bucket, key, query }: Call): store.Upload {
  const upload = bucket.uploads.get(query.get('uploadId') ?? '');
  if (upload?.key === key) return upload;
  throw new S3Error(404, 'NoSuchUpload', 'The specified multipart upload does not exist. It may have been aborted or completed.');
}

export async function uploadPart(call: Call): Promise<void> {
  const number = Number(call.query.get('partNumber'));
  if (!(Number.isInteger(number) && number >= 1 && number <= 10_000)) {
    throw new S3Error(400, 'InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive');
  }
  const keep = (content: store.Content) => {
    const { parts } = getUpload(call); // after the body: the upload may have ended meanwhile
    store.removeFiles(call.bucket, ...[parts.get(number)?.file ?? []].flat());
    parts.set(number, content);
  };
  const source = call.request.headers['x-amz-copy-source'];
  if (source !== undefined) return copyPart(call, String(source), keep);
  await withBody(call, (content) => {
    keep(content);
    send(call.response, 200, { etag: content.etag, ...content.checksums });
  });
}

/** A range of a stored version of the same bucket, or all of it, as a part. */
async function copyPart({ request, response, bucket }: Call, source: string, keep: (content: store.Content) => void): Promise<void> {
  const [path = '', search] = source.replace(/^\//, '').split(/\?(.*)/s);
  const [bucketName = '', ...key] = path.split('/').map(decodeURIComponent);
  const versionId = new URLSearchParams(search).get('versionId');
  if (bucketName !== bucket.name || versionId === null)
    throw new S3Error(501, 'NotImplemented', 'Only versions of the same bucket are copied');
  const version = store.findVersion(bucket, key.join('/'), versionId);
  if (!version?.object) throw new S3Error(404, 'NoSuchVersion', 'The specified version does not exist.');
  const { size } = version.object;
  const range = request.headers['x-amz-copy-source-range'] ?? `bytes=0-${size - 1}`;
  const [start = 0, end = -1] = /^bytes=(\d+)-(\d+)$/.exec(String(range))?.slice(1).map(Number) ?? [];
  if (start > end || end >= size)
    throw new S3Error(400, 'InvalidArgument', `Range specified is not valid for source object of size: ${size}`);
  const file = `${randomUUID()}.bytes`;
  const md5 = createHash('md5');
  try {
    const bytes = createReadStream(join(bucket.directory, version.object.file), { start, end, highWaterMark: store.highWaterMark });
    const hashed = async function* () {
      for await (const chunk of bytes) {
        md5.update(chunk);
        yield chunk;
      }
    };
    await pipeline(hashed, createWriteStream(join(bucket.directory, file)));
    const etag = `"${md5.digest('hex')}"`;
    keep({ file, size: end - start + 1, etag, checksums: {} });
    response.setHeader('x-amz-copy-source-version-id', versionId);
    sendXml(response, 'CopyPartResult', [{ ETag: etag, LastModified: new Date().toISOString() }]);
  } catch (error) {
    store.removeFiles(bucket, file);
    throw error;
  }
}

export async function completeUpload(call: Call): Promise<void> {
  const { bucket, key, response } = call;
  const upload = getUpload(call);
  await withBody(call, async ({ file }) => {
    const path = join(bucket.directory, file);
    const parts = listedParts(await readFile(path, 'utf8'), upload);
    if (!bucket.uploads.delete(upload.uploadId)) getUpload(call); // somebody else completes it at this moment
    try {
      await pipeline(concatenate(bucket, parts), createWriteStream(path)); // over the list of parts
      const md5 = createHash('md5').update(Buffer.from(parts.map(({ etag }) => etag.replaceAll('"', '')).join(''), 'hex'));
      const etag = `"${md5.digest('hex')}-${parts.length}"`;
      const size = parts.reduce((sum, part) => sum + part.size, 0);
      const object = { file, size, etag, headers: upload.headers, checksums: {} };
      const { versionId } = await publish(call, 'ObjectCreated:CompleteMultipartUpload', object);
      response.setHeader('x-amz-version-id', versionId);
      sendXml(response, 'CompleteMultipartUploadResult', [{ Bucket: bucket.name, Key: key, ETag: etag }]);
    } catch (error) {
      bucket.uploads.set(upload.uploadId, upload);
      throw error;
    }
    endUpload(bucket, upload);
  });
}

/** The parts in the order of the request, which has to be that of their numbers. */
function listedParts(xml: string, { parts }: store.Upload): store.Content[] {
  const numbers: number[] = [];
  const listed = [...xml.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, element = '']) => {
    const number = Number(/<PartNumber>(\d+)</.exec(element)?.[1]);
    const part = parts.get(number);
    if (!part || !element.includes(part.etag.replaceAll('"', '')))
      throw new S3Error(400, 'InvalidPart', 'A part or its entity tag is unknown.');
    if (number <= (numbers.at(-1) ?? 0)) throw new S3Error(400, 'InvalidPartOrder', 'The list of parts was not in ascending order.');
    numbers.push(number);
    return part;
  });
  if (listed.length === 0) throw new S3Error(400, 'MalformedXML', 'The XML you provided was not well-formed.');
  if (listed.slice(0, -1).some(({ size }) => size < smallestPart))
    throw new S3Error(400, 'EntityTooSmall', 'Your proposed upload is too small.');
  return listed;
}

async function* concatenate({ directory }: store.Bucket, parts: store.Content[]) {
  for (const { file } of parts) yield* createReadStream(join(directory, file), { highWaterMark: store.highWaterMark });
}

export function abortUpload(call: Call): void {
  endUpload(call.bucket, getUpload(call));
  send(call.response, 204);
}

function endUpload(bucket: store.Bucket, { uploadId, parts }: store.Upload): void {
  bucket.uploads.delete(uploadId);
  store.removeFiles(bucket, ...[...parts.values()].map(({ file }) => file));
}
