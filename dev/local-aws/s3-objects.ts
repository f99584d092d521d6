import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { receiveBody } from './s3-body.ts';
import { S3Error } from './s3-signature.ts';
import * as store from './s3-store.ts';

export type OnObjectCreated = (event: unknown, bucket: string, key: string) => Promise<void>;
type Exchange = { request: IncomingMessage; response: ServerResponse; query: URLSearchParams };
export type Call = Exchange & { bucket: store.Bucket; key: string; region: string; payloadHash: string; onObjectCreated: OnObjectCreated };

export async function putObject(call: Call): Promise<void> {
  await withBody(call, async (content) => {
    const { versionId } = await publish(call, 'ObjectCreated:Put', { ...content, headers: keptHeaders(call) });
    send(call.response, 200, { etag: content.etag, 'x-amz-version-id': versionId, ...content.checksums });
  });
}

/** Runs `work` with the received body in a file of the bucket, which is removed when anything fails. */
export async function withBody({ request, bucket, payloadHash }: Call, work: (content: store.Content) => unknown): Promise<void> {
  const file = `${randomUUID()}.bytes`;
  try {
    await work({ file, ...(await receiveBody(request, payloadHash, join(bucket.directory, file))) });
  } catch (error) {
    store.removeFiles(bucket, file);
    throw error;
  }
}

export async function publish(call: Call, eventName: string, object: store.StoredObject): Promise<store.Version> {
  const { request, bucket, key } = call;
  if (request.headers['if-none-match'] && store.currentVersion(bucket, key)?.object) {
    throw new S3Error(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  }
  const version = store.addVersion(bucket, key, object);
  try {
    await call.onObjectCreated({ Records: [createEvent(call, eventName, version, object)] }, bucket.name, key);
  } catch (error) {
    store.removeVersion(bucket, version);
    throw error;
  }
  return version;
}

function createEvent({ bucket, region, request }: Call, eventName: string, version: store.Version, { size, etag }: store.StoredObject) {
  const key = new URLSearchParams({ key: version.key }).toString().slice('key='.length).replaceAll('%2F', '/'); // a space is a plus
  const sequencer = version.sequencer.toString(16).toUpperCase().padStart(18, '0');
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: region,
    eventTime: version.lastModified,
    eventName,
    userIdentity: { principalId: 'local' },
    requestParameters: { sourceIPAddress: request.socket.remoteAddress },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: 'local',
      bucket: { name: bucket.name, ownerIdentity: { principalId: 'local' }, arn: `arn:aws:s3:::${bucket.name}` },
      object: { key, size, eTag: etag.replaceAll('"', ''), versionId: version.versionId, sequencer },
    },
  };
}

export const keptHeaders = ({ request }: Call): store.Headers => {
  const kept = Object.entries(request.headers).filter(([name]) =>
    /^(content-(type|disposition|language)|cache-control|x-amz-meta-.+)$/.test(name),
  );
  return { 'content-type': 'binary/octet-stream', ...Object.fromEntries(kept) };
};

export async function readObject({ request, response, bucket, key, query }: Call): Promise<void> {
  const versionId = query.get('versionId');
  const version = versionId === null ? store.currentVersion(bucket, key) : store.findVersion(bucket, key, versionId);
  if (!version?.object) {
    if (version) response.setHeader('x-amz-delete-marker', 'true').setHeader('x-amz-version-id', version.versionId);
    if (versionId === null) throw new S3Error(404, 'NoSuchKey', 'The specified key does not exist.');
    if (version) throw new S3Error(405, 'MethodNotAllowed', 'The specified method is not allowed against a delete marker.');
    throw new S3Error(404, 'NoSuchVersion', 'The specified version does not exist.');
  }
  const { file, size, etag, headers, checksums } = version.object;
  const { start, end, partial } = parseRange(request.headers.range, size);
  const overrides = [...query].flatMap(([name, value]) => (name.startsWith('response-') ? [[name.slice('response-'.length), value]] : []));
  response.writeHead(partial ? 206 : 200, {
    ...headers,
    ...Object.fromEntries(overrides),
    ...(partial && { 'content-range': `bytes ${start}-${end}/${size}` }),
    ...(!partial && request.headers['x-amz-checksum-mode'] === 'ENABLED' && checksums),
    etag,
    'last-modified': new Date(version.lastModified).toUTCString(),
    'accept-ranges': 'bytes',
    'content-length': end - start + 1,
    'x-amz-version-id': version.versionId,
  });
  if (request.method === 'HEAD' || size === 0) response.end();
  else await pipeline(createReadStream(join(bucket.directory, file), { start, end, highWaterMark: store.highWaterMark }), response);
}

/** `end` is the last byte, as in the header. Anything but a single range is ignored, as HTTP allows. */
function parseRange(range: string | undefined, size: number) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  if (!first && !last) return { start: 0, end: size - 1, partial: false };
  const start = first ? Number(first) : Math.max(size - Number(last), 0);
  const end = first && last ? Math.min(Number(last), size - 1) : size - 1;
  if (start > end) throw new S3Error(416, 'InvalidRange', 'The requested range is not satisfiable');
  return { start, end, partial: true };
}

export function deleteObject({ response, bucket, key, query }: Call): void {
  const versionId = query.get('versionId');
  const version = versionId === null ? store.addVersion(bucket, key) : store.findVersion(bucket, key, versionId);
  if (version && versionId !== null) store.removeVersion(bucket, version);
  const marker = version && !version.object ? { 'x-amz-delete-marker': 'true' } : {};
  send(response, 204, { 'x-amz-version-id': version?.versionId ?? String(versionId), ...marker });
}

export function listObjects({ response, bucket, query }: Call): void {
  const prefix = query.get('prefix') ?? '';
  const after = Buffer.from(query.get('continuation-token') ?? '', 'base64url');
  const keys = [...bucket.versions.keys()].filter((key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), after) > 0);
  const versions = keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((key) => store.currentVersion(bucket, key));
  const existing = versions.flatMap((version) => (version?.object ? [{ ...version, ...version.object }] : []));
  const page = existing.slice(0, Math.min(Number(query.get('max-keys') ?? 1000), 1000));
  const last = page.length < existing.length ? page.at(-1) : undefined;
  sendXml(response, 'ListBucketResult', [
    { Name: bucket.name, Prefix: prefix, KeyCount: page.length, IsTruncated: last !== undefined },
    last ? { NextContinuationToken: Buffer.from(last.key).toString('base64url') } : {},
    ...page.map(({ key, lastModified, etag, size }) => ({ Contents: [{ Key: key, LastModified: lastModified, ETag: etag, Size: size }] })),
  ]);
}

export function send(response: ServerResponse, status: number, headers: store.Headers = {}, body = ''): void {
  response.writeHead(status, { ...headers, ...(status !== 204 && { 'content-length': Buffer.byteLength(body) }) }).end(body);
}

type Element = { [name: string]: unknown };

export function sendXml(response: ServerResponse, root: string, elements: Element[], status = 200): void {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n${elementText(root, elements)}`;
  send(response, status, { 'content-type': 'application/xml' }, body);
}

function elementText(name: string, content: unknown): string {
  if (!Array.isArray(content)) return `<${name}>${escapeXml(String(content))}</${name}>`;
  const children = (content as Element[]).flatMap((element) => Object.entries(element));
  return `<${name}>${children.map(([child, value]) => elementText(child, value)).join('')}</${name}>`;
}

const escapeXml = (text: string) => text.replace(/[&<>"\p{Cc}]/gu, (character) => `&#${character.charCodeAt(0)};`);
