import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { AwsV4Signer } from 'aws4fetch';
import { describe, expect, it } from 'vitest';
import { formatQuery, percentEncode, signLink, signPost, signRequest } from '../../lib/aws-signature.ts';

// Another implementation, that its users hold against AWS itself.
it.each([{ sessionToken: undefined }, { sessionToken: 'IQoJb3JpZ2luX2VjEJr/+==' }])(
  'signs as aws4fetch does: %j',
  async ({ sessionToken }) => {
    const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'secretsmanager.GetSecretValue' };
    const body = JSON.stringify({ SecretId: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:fleet/ж-AbCdEf' });
    const signed = await new AwsV4Signer({
      ...{ url: 'http://127.0.0.1:4566/', method: 'POST', service: 'secretsmanager', region: 'eu-central-1', datetime: '20261124T080000Z' },
      ...{ ...credentials, ...(sessionToken && { sessionToken }), allHeaders: true, headers, body },
    }).sign();
    const ours = signPost(
      { host: '127.0.0.1:4566', service: 'secretsmanager', region: 'eu-central-1', body, headers },
      { ...credentials, sessionToken },
      new Date('2026-11-24T08:00:00.000Z'),
    );
    expect(ours).toEqual(Object.fromEntries(signed.headers));
  },
);

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const scope = { service: 's3', region: 'eu-central-1' };
const now = new Date('2026-11-24T08:00:00.000Z');
const host = 'fleet.s3.eu-central-1.amazonaws.com';
const path = `/${"firmwares/vega_mcu/1.0 + β !'()*~$@=:;,/Vega MCU 🛴.bin".split('/').map(percentEncode).join('/')}`;
const payloadHash = 'UNSIGNED-PAYLOAD';

describe.each([{ sessionToken: undefined }, { sessionToken: 'IQoJb3JpZ2luX2VjEJr/+==' }])(
  'with the session token %j',
  ({ sessionToken }) => {
    const theirs = (method: string, query: Record<string, string>, headers: Record<string, string>, signQuery: boolean) =>
      new AwsV4Signer({
        ...{ url: `https://${host}${path}?${formatQuery(query)}`, method, ...scope, datetime: '20261124T080000Z', headers, signQuery },
        ...{ ...credentials, ...(sessionToken && { sessionToken }), allHeaders: true },
      }).sign();

    it.each<[string, Record<string, string>]>([
      ['GET', { versionId: 'a.b+c/d=' }],
      ['PUT', { partNumber: '12', uploadId: 'x_y.z~' }],
      ['POST', { uploads: '' }],
    ])('signs a %s of S3 as aws4fetch does', async (method, query) => {
      const headers = { 'if-none-match': '*', 'x-amz-content-sha256': payloadHash };
      const ours = signRequest({ method, host, path, query, headers, payloadHash }, scope, { ...credentials, sessionToken }, now);
      expect(ours).toEqual(Object.fromEntries((await theirs(method, query, headers, false)).headers));
    });

    it.each<[string, Record<string, string>, Record<string, string>]>([
      ['GET', { versionId: 'a.b+c/d=' }, {}],
      ['HEAD', { versionId: 'null' }, {}],
      [
        'PUT',
        {},
        { 'content-length': '14', 'if-none-match': '*', 'x-amz-checksum-sha256': 'CpNTkR4avuraGIYSBhEBg+iS/eKqkTvwfC+qG1POPK0=' },
      ],
    ])('signs a link for a %s as aws4fetch does', async (method, query, headers) => {
      const ours = signLink({ method, host, path, query, headers }, scope, { ...credentials, sessionToken }, { now, seconds: 3_600 });
      const { url } = await theirs(method, { ...query, 'X-Amz-Expires': '3600' }, headers, true);
      expect(Object.fromEntries(new URLSearchParams(ours))).toEqual(Object.fromEntries(url.searchParams));
    });
  },
);

it.each([
  { method: 'GET' as const, query: { versionId: 'a.b+c/d=' }, headers: {} },
  {
    method: 'PUT' as const,
    query: {},
    headers: { 'content-length': '14', 'if-none-match': '*', 'x-amz-checksum-sha256': 'CpNTkR4avuraGIYSBhEBg+iS/eKqkTvwfC+qG1POPK0=' },
  },
])('signs a link for a $method as the SDK of AWS does, whatever the key', async ({ method, query, headers }) => {
  const client = new S3Client({
    region: scope.region,
    credentials,
    ...{ requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' },
  });
  const key = decodeURIComponent(path.slice(1));
  const command =
    method === 'GET'
      ? new GetObjectCommand({ Bucket: 'fleet', Key: key, VersionId: 'a.b+c/d=' })
      : new PutObjectCommand({
          ...{ Bucket: 'fleet', Key: key, ContentLength: 14, IfNoneMatch: '*' },
          ChecksumSHA256: headers['x-amz-checksum-sha256'],
        });
  const names = [...Object.keys(headers), 'host'];
  const theirs = new URL(
    await getSignedUrl(client, command, {
      ...{ expiresIn: 3_600, signingDate: now, signableHeaders: new Set(names), unhoistableHeaders: new Set(['x-amz-checksum-sha256']) },
    }),
  );
  client.destroy();
  expect([theirs.host, theirs.pathname]).toEqual([host, path]);
  // What the SDK adds for itself.
  const added = { 'x-id': `${method[0]}${method.slice(1).toLowerCase()}Object`, 'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD' };
  const ours = signLink({ method, host, path, query: { ...query, ...added }, headers }, scope, credentials, { now, seconds: 3_600 });
  expect(Object.fromEntries(new URLSearchParams(ours))).toEqual(Object.fromEntries(theirs.searchParams));
});
