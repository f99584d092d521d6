import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type S3ServerOptions, startS3Server } from '../../../dev/local-aws/s3-server.ts';

const Bucket = 'firmware';
const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
const firmware = Buffer.from('firmware 1.4.2');
const sha256OfFirmware = createHash('sha256').update(firmware).digest('base64');
const megabyte = 1024 * 1024;

type Event = { Records: { eventName: string; s3: { object: { key: string; sequencer: string; versionId: string } } }[] };

let directory: string;
let server: Awaited<ReturnType<typeof startS3Server>>;
let s3: S3Client;
let events: Event[];
let onObjectCreated: NonNullable<S3ServerOptions['onObjectCreated']>;

const start = () =>
  startS3Server({
    directory,
    credentials,
    buckets: [Bucket],
    onObjectCreated: (event, bucket, key) => onObjectCreated(event, bucket, key),
  });
const client = (options: S3ClientConfig = {}) =>
  new S3Client({ endpoint: server.url, region: 'eu-central-1', forcePathStyle: true, credentials, maxAttempts: 1, ...options });

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 's3-server-'));
  events = [];
  onObjectCreated = async (event) => void events.push(event as Event);
  server = await start();
  s3 = client();
});

afterEach(async () => {
  s3.destroy();
  await server.close();
  await rm(directory, { recursive: true });
});

const put = (Key: string, Body: NonNullable<PutObjectCommandInput['Body']>, more: Partial<PutObjectCommandInput> = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = async (Key: string, more = {}) => (await s3.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body?.transformToString();
const storedKeys = async () => (await s3.send(new ListObjectsV2Command({ Bucket }))).Contents?.map(({ Key }) => Key) ?? [];
const answerOf = async (response: Response) => `${response.status} ${/<Code>(.*)<\/Code>/.exec(await response.text())?.[1] ?? ''}`.trim();
const nothingHappened = async () => {
  expect(await storedKeys()).toEqual([]);
  expect(events).toEqual([]);
  await expect.poll(() => readdir(join(directory, Bucket))).toEqual([]);
};

/** The link a manufacturer gets: bound to one checksum and one length, for a key that does not exist yet. */
const uploadLink = (Key: string, options: { expiresIn?: number; signingDate?: Date } = {}) =>
  getSignedUrl(
    s3,
    new PutObjectCommand({ Bucket, Key, ContentLength: firmware.length, ChecksumSHA256: sha256OfFirmware, IfNoneMatch: '*' }),
    {
      unhoistableHeaders: new Set(['x-amz-checksum-sha256']),
      signableHeaders: new Set(['content-length', 'host', 'if-none-match']),
      ...options,
    },
  );
const uploadHeaders = { 'x-amz-checksum-sha256': sha256OfFirmware, 'if-none-match': '*' };
const upload = async (link: string, body: Buffer<ArrayBuffer> | string = firmware, headers: Record<string, string> = uploadHeaders) =>
  answerOf(await fetch(link, { method: 'PUT', body, headers }));
const downloadLink = (Key: string, more = {}, options = {}) => getSignedUrl(s3, new GetObjectCommand({ Bucket, Key, ...more }), options);

describe('a presigned PUT bound to a checksum', () => {
  it('signs the checksum and the length', async () => {
    const signed = new URL(await uploadLink('a.swu')).searchParams.get('X-Amz-SignedHeaders');
    expect(signed).toBe('content-length;host;if-none-match;x-amz-checksum-sha256');
  });

  it('400: refuses other bytes of the same length, stores nothing and sends no event', async () => {
    expect(await upload(await uploadLink('a.swu'), Buffer.from('firmware 6.6.6'))).toBe('400 BadDigest');
    await nothingHappened();
  });

  it('403: refuses a body of another length', async () => {
    expect(await upload(await uploadLink('a.swu'), Buffer.from('firmware 1.4.2 and more'))).toBe('403 SignatureDoesNotMatch');
    await nothingHappened();
  });

  it('403: refuses a body that does not announce its length', async () => {
    const init = {
      method: 'PUT',
      body: Readable.toWeb(Readable.from([firmware])) as ReadableStream,
      headers: uploadHeaders,
      duplex: 'half',
    };
    expect(await answerOf(await fetch(await uploadLink('a.swu'), init as RequestInit))).toBe('403 SignatureDoesNotMatch');
    await nothingHappened();
  });

  it('403: refuses to leave out or to exchange the checksum', async () => {
    expect(await upload(await uploadLink('a.swu'), firmware, { 'if-none-match': '*' })).toBe('403 SignatureDoesNotMatch');
    const other = createHash('sha256').update('other').digest('base64');
    expect(await upload(await uploadLink('a.swu'), firmware, { ...uploadHeaders, 'x-amz-checksum-sha256': other })).toBe(
      '403 SignatureDoesNotMatch',
    );
    await nothingHappened();
  });

  it('403: refuses an x-amz- header that was not signed', async () => {
    const response = await fetch(await uploadLink('a.swu'), {
      method: 'PUT',
      body: firmware,
      headers: { ...uploadHeaders, 'x-amz-acl': 'public-read' },
    });
    expect(response.status).toBe(403);
    expect(await response.text()).toMatch(/AccessDenied.*There were headers present in the request which were not signed/);
    await nothingHappened();
  });

  it.each([
    ['key', (link: string) => link.replace('a.swu', 'b.swu')],
    ['expiry', (link: string) => link.replace('X-Amz-Expires=900', 'X-Amz-Expires=9000')],
    ['query', (link: string) => `${link}&versionId=1`],
    ['signature', (link: string) => link.replace(/(?<=X-Amz-Signature=)./, (digit) => (digit === '0' ? '1' : '0'))],
  ])('403: refuses a link with another %s', async (_, tamper) => {
    expect(await upload(tamper(await uploadLink('a.swu')))).toBe('403 SignatureDoesNotMatch');
    await nothingHappened();
  });

  it('403: refuses another method', async () => {
    expect(await answerOf(await fetch(await downloadLink('a.swu'), { method: 'DELETE' }))).toBe('403 SignatureDoesNotMatch');
  });

  it('403: refuses an expired link', async () => {
    const response = await fetch(await uploadLink('a.swu', { expiresIn: 60, signingDate: new Date(Date.now() - 61_000) }), {
      method: 'PUT',
      body: firmware,
      headers: uploadHeaders,
    });
    expect(response.status).toBe(403);
    expect(await response.text()).toMatch(/AccessDenied.*Request has expired/);
    await nothingHappened();
  });

  it('400: refuses a link that lives longer than a week', async () => {
    const link = (await uploadLink('a.swu')).replace('X-Amz-Expires=900', 'X-Amz-Expires=604801');
    expect(await upload(link)).toBe('400 AuthorizationQueryParametersError');
  });

  it('412: refuses a second PUT and keeps the first', async () => {
    const link = await uploadLink('a.swu');
    expect([await upload(link), await upload(link)]).toEqual(['200', '412 PreconditionFailed']);
    expect(events).toHaveLength(1);
  });

  it('412: of racing PUTs exactly one wins', async () => {
    const link = await uploadLink('a.swu');
    const answers = await Promise.all(Array.from({ length: 10 }, () => upload(link)));
    expect(answers.sort()).toEqual(['200', ...Array(9).fill('412 PreconditionFailed')]);
    expect(events).toHaveLength(1);
  });

  it('stores nothing when the connection is cut', async () => {
    const outgoing = httpRequest(await uploadLink('a.swu'), {
      method: 'PUT',
      headers: { ...uploadHeaders, 'content-length': firmware.length },
    });
    outgoing.on('error', () => {});
    outgoing.write(firmware.subarray(0, 5));
    await expect.poll(() => readdir(join(directory, Bucket))).toHaveLength(1); // the server has begun to write
    outgoing.destroy();
    await nothingHappened();
  });

  it('200: stores the bytes and the checksum', async () => {
    expect(await upload(await uploadLink('a.swu'))).toBe('200');
    expect(await get('a.swu')).toBe('firmware 1.4.2');
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a.swu', ChecksumMode: 'ENABLED' }));
    expect(head.ChecksumSHA256).toBe(sha256OfFirmware);
  });

  it('200: may be used again after the object was deleted', async () => {
    const link = await uploadLink('a.swu');
    await upload(link);
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a.swu' }));
    expect(await upload(link)).toBe('200');
  });
});

describe('a page of another origin', () => {
  it('200: may ask whether it may send a file with the headers of a signed link', async () => {
    const response = await fetch(`${server.url}/${Bucket}/a`, {
      method: 'OPTIONS',
      headers: {
        origin: 'http://127.0.0.1:3000',
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'x-amz-checksum-sha256',
      },
    });
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, PUT',
      'access-control-allow-headers': 'x-amz-checksum-sha256',
    });
  });

  it('403: gets nothing without a link, and may read why', async () => {
    const response = await fetch(`${server.url}/${Bucket}/a`, { headers: { origin: 'http://127.0.0.1:3000' } });
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([403, '*']);
  });
});

describe('authentication', () => {
  it('403: refuses a request without any', async () => {
    expect(await answerOf(await fetch(`${server.url}/${Bucket}/a.swu`))).toBe('403 AccessDenied');
  });

  it('400: refuses a request with two kinds', async () => {
    const response = await fetch(await downloadLink('a.swu'), { headers: { authorization: 'Bearer token-of-a-device' } });
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(/InvalidArgument.*Only one auth mechanism allowed/);
  });

  it('400: refuses another scheme', async () => {
    const response = await fetch(`${server.url}/${Bucket}/a.swu`, { headers: { authorization: 'Bearer token-of-a-device' } });
    expect(await answerOf(response)).toBe('400 AuthorizationHeaderMalformed');
  });

  it('403: refuses a wrong secret and an unknown access key', async () => {
    const command = () => new GetObjectCommand({ Bucket, Key: 'a.swu' });
    const wrongSecret = client({ credentials: { ...credentials, secretAccessKey: 'guessed' } }).send(command());
    await expect(wrongSecret).rejects.toMatchObject({ name: 'SignatureDoesNotMatch', $metadata: { httpStatusCode: 403 } });
    const unknownKey = client({ credentials: { ...credentials, accessKeyId: 'somebody' } }).send(command());
    await expect(unknownKey).rejects.toMatchObject({ name: 'InvalidAccessKeyId', $metadata: { httpStatusCode: 403 } });
  });

  it('403: refuses a signed request an hour old', async () => {
    const late = client({ systemClockOffset: -3_600_000 }).send(new HeadBucketCommand({ Bucket }));
    await expect(late).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });
  });
});

describe('PutObject', () => {
  it.each([
    ['BadDigest', { ContentMD5: createHash('md5').update('other').digest('base64') }],
    ['BadDigest', { ChecksumSHA256: createHash('sha256').update('other').digest('base64') }],
    ['BadDigest', { ChecksumCRC32: 'AAAAAA==' }],
  ])('400 %s: refuses bytes that do not match %o', async (name, checksum) => {
    await expect(put('a.swu', firmware, checksum)).rejects.toMatchObject({ name, $metadata: { httpStatusCode: 400 } });
    await nothingHappened();
  });

  it('400: refuses bytes other than the signed payload hash', async () => {
    const signed = client();
    signed.middlewareStack.add(
      (next) => (args) => next({ ...args, request: Object.assign(args.request as object, { body: 'firmware 6.6.6' }) }),
      {
        step: 'finalizeRequest',
        priority: 'low',
      },
    );
    const altered = signed.send(new PutObjectCommand({ Bucket, Key: 'a.swu', Body: firmware, ChecksumCRC32C: 'AAAAAA==' }));
    await expect(altered).rejects.toMatchObject({ name: 'XAmzContentSHA256Mismatch' });
    await nothingHappened();
  });

  it.each([
    ['a wrong trailing checksum', 'e\r\nfirmware 1.4.2\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n', 'BadDigest'],
    ['a missing trailing checksum', 'e\r\nfirmware 1.4.2\r\n0\r\n\r\n', 'MalformedTrailerError'],
    ['too few bytes', 'd\r\nfirmware 1.4.\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n', 'IncompleteBody'],
    ['an early end', 'e\r\nfirmware', 'IncompleteBody'],
    ['a malformed chunk', 'zz\r\nfirmware 1.4.2\r\n0\r\n\r\n', 'IncompleteBody'],
  ])('400: refuses an aws-chunked body with %s', async (_, body, code) => {
    const headers = {
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': '14',
      'x-amz-trailer': 'x-amz-checksum-crc32',
    };
    const command = new PutObjectCommand({ Bucket, Key: 'a.swu', ContentLength: body.length });
    command.middlewareStack.add(
      (next) => (args) =>
        next({
          ...args,
          request: Object.assign(args.request as { headers: object }, {
            headers: { ...(args.request as { headers: object }).headers, ...headers },
          }),
        }),
      { step: 'build' },
    );
    const link = await getSignedUrl(s3, command, { unhoistableHeaders: new Set(Object.keys(headers)) });
    expect(await upload(link, body, headers)).toBe(`400 ${code}`);
    await nothingHappened();
  });

  it('500: takes the version back when the event cannot be sent', async () => {
    onObjectCreated = async () => Promise.reject(new Error('the queue is down'));
    await expect(put('a.swu', firmware, { IfNoneMatch: '*' })).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } });
    await nothingHappened();
    onObjectCreated = async () => {};
    await expect(put('a.swu', firmware, { IfNoneMatch: '*' })).resolves.toMatchObject({ $metadata: { httpStatusCode: 200 } });
  });

  it('has stored the object when it calls for the event, and answers after it', async () => {
    let seen: string | undefined;
    onObjectCreated = async (_, __, key) => {
      seen = await get(key);
    };
    await put('a.swu', firmware);
    expect(seen).toBe('firmware 1.4.2');
  });

  it.each(['a.swu', 'with space + plus & <tag> "quotes"', 'übergrößen/скутер/🛴.swu', "a//b!'()*~", 'ä'.repeat(500)])(
    'keeps the key %s',
    async (key) => {
      await put(key, key);
      expect(await get(key)).toBe(key);
      expect(await (await fetch(await downloadLink(key))).text()).toBe(key);
      expect(await storedKeys()).toEqual([key]);
    },
  );

  it('keeps a key that looks like a path out of the directory', async () => {
    await put('../../outside', firmware); // not through fetch, which resolves the dots itself
    expect(await get('../../outside')).toBe('firmware 1.4.2');
    expect(await readdir(directory)).toEqual([Bucket]);
    expect(await readdir(join(directory, Bucket))).toHaveLength(2);
  });

  it('sends the event of S3, with the key URL-encoded and a plus for a space', async () => {
    const { VersionId } = await put('scooter/größe 1+2.swu', firmware);
    expect(events).toEqual([
      {
        Records: [
          expect.objectContaining({
            eventVersion: '2.1',
            eventSource: 'aws:s3',
            awsRegion: 'eu-central-1',
            eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
            eventName: 'ObjectCreated:Put',
            s3: expect.objectContaining({
              bucket: expect.objectContaining({ name: 'firmware', arn: 'arn:aws:s3:::firmware' }),
              object: {
                key: 'scooter/gr%C3%B6%C3%9Fe+1%2B2.swu',
                size: 14,
                eTag: createHash('md5').update(firmware).digest('hex'),
                versionId: VersionId,
                sequencer: expect.stringMatching(/^[0-9A-F]{18}$/),
              },
            }),
          }),
        ],
      },
    ]);
  });

  it('numbers the events of a key so that the later version has the greater sequencer', async () => {
    for (const body of ['1', '2', '3']) await put('a.swu', body);
    const sequencers = events.map(({ Records }) => Records[0]?.s3.object.sequencer);
    expect(new Set(sequencers).size).toBe(3);
    expect(sequencers).toEqual([...sequencers].sort());
  });

  it('streams 60 MB from the SDK and back in constant memory', async () => {
    const piece = randomBytes(megabyte);
    const hash = createHash('sha256');
    const pieces = async function* () {
      for (let count = 0; count < 60; count += 1) {
        hash.update(piece);
        yield piece;
      }
    };
    const before = process.memoryUsage.rss();
    await put('large.swu', Readable.from(pieces()), { ContentLength: 60 * megabyte });
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: 'large.swu' }));
    const received = createHash('sha256');
    for await (const bytes of Body as Readable) received.update(bytes);
    expect(received.digest('hex')).toBe(hash.digest('hex'));
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * megabyte);
  }, 30_000);
});

describe('reading', () => {
  it('404: answers NoSuchKey, NoSuchVersion and NoSuchBucket', async () => {
    await put('a.swu', firmware);
    await expect(get('b.swu')).rejects.toMatchObject({ name: 'NoSuchKey', $metadata: { httpStatusCode: 404 } });
    await expect(get('a.swu', { VersionId: 'f'.repeat(32) })).rejects.toMatchObject({ name: 'NoSuchVersion' });
    await expect(get('a.swu', { Bucket: 'other' })).rejects.toMatchObject({ name: 'NoSuchBucket' });
    await expect(s3.send(new HeadBucketCommand({ Bucket: 'other' }))).rejects.toMatchObject({ name: 'NotFound' });
    await expect(s3.send(new HeadBucketCommand({ Bucket }))).resolves.toBeDefined();
    await expect(s3.send(new HeadObjectCommand({ Bucket, Key: 'b.swu' }))).rejects.toMatchObject({ name: 'NotFound' });
  });

  it('an error names its code, a message and the request', async () => {
    const response = await fetch(await downloadLink('b.swu'));
    expect(response.headers.get('content-type')).toBe('application/xml');
    expect(await response.text()).toMatch(/<Error><Code>NoSuchKey<\/Code><Message>.+<\/Message><RequestId>.+<\/RequestId><\/Error>$/);
  });

  it('416: refuses a range behind the end', async () => {
    await put('a.swu', firmware);
    await expect(get('a.swu', { Range: 'bytes=14-' })).rejects.toMatchObject({ name: 'InvalidRange', $metadata: { httpStatusCode: 416 } });
  });

  it.each([
    ['bytes=9-11', '1.4', 'bytes 9-11/14'],
    ['bytes=9-', '1.4.2', 'bytes 9-13/14'],
    ['bytes=-5', '1.4.2', 'bytes 9-13/14'],
    ['bytes=9-1000', '1.4.2', 'bytes 9-13/14'],
  ])('206: answers the range %s', async (range, text, contentRange) => {
    await put('a.swu', firmware, { ChecksumSHA256: sha256OfFirmware });
    const response = await fetch(await downloadLink('a.swu'), { headers: { range } });
    expect([response.status, response.headers.get('content-range'), await response.text()]).toEqual([206, contentRange, text]);
    expect(await get('a.swu', { Range: range })).toBe(text);
  });

  it('an overwritten object stays readable by its version id', async () => {
    const first = await put('a.swu', 'first');
    const second = await put('a.swu', 'second');
    expect(first.VersionId).not.toBe(second.VersionId);
    expect(await get('a.swu')).toBe('second');
    expect(await get('a.swu', { VersionId: first.VersionId })).toBe('first');
    expect(await (await fetch(await downloadLink('a.swu', { VersionId: first.VersionId }))).text()).toBe('first');
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a.swu', VersionId: first.VersionId }));
    expect(head).toMatchObject({ VersionId: first.VersionId, ContentLength: 5 });
  });

  it('a version of one key is not readable under another', async () => {
    const { VersionId } = await put('a.swu', firmware);
    await put('b.swu', firmware);
    await expect(get('b.swu', { VersionId })).rejects.toMatchObject({ name: 'NoSuchVersion' });
  });

  it('a deleted object is gone, its versions are not until they are deleted', async () => {
    const { VersionId } = await put('a.swu', firmware);
    expect(await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a.swu' }))).toMatchObject({ DeleteMarker: true });
    await expect(get('a.swu')).rejects.toMatchObject({ name: 'NoSuchKey' });
    expect(await storedKeys()).toEqual([]);
    expect(await get('a.swu', { VersionId })).toBe('firmware 1.4.2');
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a.swu', VersionId }));
    await expect(get('a.swu', { VersionId })).rejects.toMatchObject({ name: 'NoSuchVersion' });
  });

  it('answers the checksum only when the uploader sent one and the reader asks', async () => {
    await put('with', firmware, { ChecksumSHA256: sha256OfFirmware });
    await put('without', firmware);
    const head = (Key: string, more = {}) => s3.send(new HeadObjectCommand({ Bucket, Key, ...more }));
    expect((await head('with', { ChecksumMode: 'ENABLED' })).ChecksumSHA256).toBe(sha256OfFirmware);
    expect((await head('with')).ChecksumSHA256).toBeUndefined();
    expect((await head('without', { ChecksumMode: 'ENABLED' })).ChecksumSHA256).toBeUndefined();
  });

  it('answers what was stored with the object: entity tag, type, metadata, time', async () => {
    await put('a.swu', firmware, { ContentType: 'application/x-swu', Metadata: { origin: 'test' } });
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a.swu' }));
    const etag = `"${createHash('md5').update(firmware).digest('hex')}"`;
    expect(head).toMatchObject({ ETag: etag, ContentType: 'application/x-swu', Metadata: { origin: 'test' }, ContentLength: 14 });
    expect(Math.abs(Date.now() - Number(head.LastModified))).toBeLessThan(5000);
  });

  it('a presigned GET sets the file name of the download', async () => {
    await put('a.swu', firmware);
    const response = await fetch(await downloadLink('a.swu', { ResponseContentDisposition: 'attachment; filename="1.4.2.swu"' }));
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="1.4.2.swu"');
    expect(await response.text()).toBe('firmware 1.4.2');
  });

  it('reads an empty object', async () => {
    await put('empty', '');
    expect(await get('empty')).toBe('');
  });

  it('lists keys by prefix, in pages, in the order of their bytes', async () => {
    for (const key of ['b/2', 'a/1', 'b/ü', 'b/1', 'b/ﬀ', 'b/🛴']) await put(key, key);
    const first = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'b/', MaxKeys: 3 }));
    expect(first).toMatchObject({ KeyCount: 3, IsTruncated: true, Contents: [{ Key: 'b/1', Size: 3 }, { Key: 'b/2' }, { Key: 'b/ü' }] });
    const rest = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'b/', ContinuationToken: first.NextContinuationToken }));
    expect(rest).toMatchObject({ IsTruncated: false, Contents: [{ Key: 'b/ﬀ' }, { Key: 'b/🛴' }] });
  });

  it('501: says so when it does not know a parameter', async () => {
    await expect(s3.send(new ListObjectsV2Command({ Bucket, Delimiter: '/' }))).rejects.toMatchObject({ name: 'NotImplemented' });
  });
});

describe('a multipart upload', () => {
  const Key = 'large.swu';
  const begin = async () => ({ Bucket, Key, UploadId: (await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))).UploadId });
  type Target = Awaited<ReturnType<typeof begin>>;
  const part = async (target: Target, PartNumber: number, Body: Buffer | string) => {
    const { ETag } = await s3.send(new UploadPartCommand({ ...target, PartNumber, Body }));
    return { PartNumber, ETag };
  };
  const complete = (target: Target, ...Parts: { PartNumber: number; ETag: string | undefined }[]) =>
    s3.send(new CompleteMultipartUploadCommand({ ...target, MultipartUpload: { Parts } }));
  const openUploads = async () =>
    (await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads?.map(({ UploadId }) => UploadId) ?? [];
  const fiveMegabytes = Buffer.alloc(5 * megabyte, 'x');

  it('400: refuses unknown, disordered and too small parts, and can still be completed', async () => {
    const target = await begin();
    const first = await part(target, 1, fiveMegabytes);
    const second = await part(target, 2, 'end');
    const third = await part(target, 3, 'more');
    await expect(complete(target, first, { ...second, ETag: first.ETag })).rejects.toMatchObject({ name: 'InvalidPart' });
    await expect(complete(target, second, first)).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    await expect(complete(target, first, second, third)).rejects.toMatchObject({ name: 'EntityTooSmall' });
    expect(events).toEqual([]);
    await expect(complete(target, first, second)).resolves.toBeDefined();
  });

  it('404: an aborted upload is gone with its parts', async () => {
    const target = await begin();
    const first = await part(target, 1, 'end');
    expect(await openUploads()).toEqual([target.UploadId]);
    await s3.send(new AbortMultipartUploadCommand(target));
    expect(await openUploads()).toEqual([]);
    await expect(complete(target, first)).rejects.toMatchObject({ name: 'NoSuchUpload' });
    await nothingHappened();
  });

  it('412: does not replace an object when it must not', async () => {
    const target = await begin();
    const first = await part(target, 1, 'end');
    await put(Key, firmware);
    const completed = s3.send(new CompleteMultipartUploadCommand({ ...target, IfNoneMatch: '*', MultipartUpload: { Parts: [first] } }));
    await expect(completed).rejects.toMatchObject({ name: 'PreconditionFailed' });
    expect(await get(Key)).toBe('firmware 1.4.2');
  });

  it('of racing completions exactly one makes a version', async () => {
    const target = await begin();
    const first = await part(target, 1, fiveMegabytes);
    const outcomes = await Promise.allSettled([complete(target, first), complete(target, first), complete(target, first)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(events).toHaveLength(1);
  });

  it('joins its parts in order, sends one event and leaves only the object', async () => {
    const target = await begin();
    const second = await part(target, 2, 'end');
    await part(target, 1, 'replaced');
    const first = await part(target, 1, fiveMegabytes);
    const { ETag, VersionId } = await complete(target, first, second);
    expect(ETag).toMatch(/^"[0-9a-f]{32}-2"$/);
    expect(await get(Key, { VersionId })).toBe(`${'x'.repeat(5 * megabyte)}end`);
    expect(events.map(({ Records }) => Records[0])).toMatchObject([
      {
        eventName: 'ObjectCreated:CompleteMultipartUpload',
        s3: { object: { key: 'large.swu', size: 5 * megabyte + 3, versionId: VersionId } },
      },
    ]);
    expect(await openUploads()).toEqual([]);
    expect(await readdir(join(directory, Bucket))).toHaveLength(2);
  });
});

describe('the process', () => {
  it('a restart keeps objects, versions, delete markers and their order', async () => {
    const first = await put('a.swu', 'first', { ChecksumSHA256: createHash('sha256').update('first').digest('base64') });
    await put('a.swu', 'second');
    await put('b.swu', firmware);
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'b.swu' }));
    await server.close();
    server = await start();
    s3 = client();
    expect(await storedKeys()).toEqual(['a.swu']);
    expect(await get('a.swu')).toBe('second');
    expect(await get('a.swu', { VersionId: first.VersionId, ChecksumMode: 'ENABLED' })).toBe('first');
    await put('a.swu', 'third');
    expect(await get('a.swu')).toBe('third');
    const [before, after] = [events.at(-2), events.at(-1)].map((event) => event?.Records[0]?.s3.object.sequencer ?? '');
    expect(before && after && before < after).toBe(true);
  });

  it('a start sweeps away the bytes of an upload that a kill interrupted', async () => {
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'a.swu' }));
    await s3.send(new UploadPartCommand({ Bucket, Key: 'a.swu', UploadId, PartNumber: 1, Body: 'part' }));
    await server.close();
    server = await start();
    s3 = client();
    await nothingHappened();
  });

  it('rejects with EADDRINUSE when the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    await expect(startS3Server({ directory, credentials, buckets: [Bucket], port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    other.close();
  });

  it('close ends open connections and stops listening', async () => {
    const outgoing = httpRequest(await uploadLink('a.swu'), {
      method: 'PUT',
      headers: { ...uploadHeaders, 'content-length': firmware.length },
    });
    const cut = once(outgoing, 'error');
    outgoing.write(firmware.subarray(0, 5));
    await expect.poll(() => readdir(join(directory, Bucket))).toHaveLength(1);
    await server.close();
    expect(await cut).toMatchObject([{ code: 'ECONNRESET' }]);
    await expect(fetch(server.url)).rejects.toThrow();
    server = await start();
  });
});
