import { describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/console/handler.ts';
import { originsOf } from '../../functions/console/origins.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';

const { authenticate } = await createIdentity();
const files: Record<string, string> = {
  'index.html': '<meta name="settings" content="{{settings}}"><script type="module" src="console/app-AAAA1111.js"></script>',
  'app-AAAA1111.js': 'start();',
  'app-BBBB2222.css': 'a {}',
};
const asked: string[] = [];
const handler = createHandler({
  ...{ authenticate, log: createRecordingLog() },
  settings: { issuer: 'https://id.test', audience: 'updater', clientId: 'a "<program>', scopes: '' },
  connectsTo: ['https://bucket.test', 'https://id.test'],
  readAsset: async (name) => {
    asked.push(name);
    return files[name];
  },
});
const getPage = (queryStringParameters?: Record<string, string>) =>
  call<string>(handler, { method: 'GET', path: '/console', ...(queryStringParameters && { queryStringParameters }) });
const getAsset = (asset: string) => call<string>(handler, { method: 'GET', path: '/console/{asset}', pathParameters: { asset } });

/** Word for word: what a page may load, and whom it may talk to. */
const policy =
  "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; " +
  "connect-src 'self' https://bucket.test https://id.test; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

describe('GET /console', () => {
  it('200: the page, with what it has to know before anybody has logged in, and kept by nobody', async () => {
    const { statusCode, headers, body } = await getPage();
    expect(statusCode).toBe(200);
    expect(headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
    const [, settings = ''] = /name="settings" content="([^"]*)"/.exec(body) ?? [];
    expect(settings).not.toContain('<');
    expect(JSON.parse(settings.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&'))).toEqual({
      ...{ issuer: 'https://id.test', audience: 'updater', clientId: 'a "<program>', scopes: '' },
    });
  });

  it('200: its policy lets in the service, the issuer and the storage, and nobody show it in a frame', async () => {
    const { headers } = await getPage();
    expect(headers['content-security-policy']).toBe(policy);
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
  });

  it('200: whatever an issuer adds to its address', async () => {
    expect(await getPage({ code: 'c', state: 's', session_state: 'x', authuser: '0' })).toMatchObject({ statusCode: 200 });
  });

  it('404: a service that was built without the console says so', async () => {
    const empty = createHandler({
      ...{ authenticate, log: createRecordingLog(), connectsTo: [], readAsset: async () => undefined },
      settings: { issuer: '', audience: '', clientId: '', scopes: '' },
    });
    expect(await call(empty, { method: 'GET', path: '/console' })).toMatchObject({ statusCode: 404, body: { code: 'route.not_found' } });
  });
});

describe('GET /console/{asset}', () => {
  it.each([
    ['app-AAAA1111.js', 'text/javascript; charset=utf-8'],
    ['app-BBBB2222.css', 'text/css; charset=utf-8'],
  ])('200: %s as %s, to be kept for ever', async (asset, type) => {
    expect(await getAsset(asset)).toMatchObject({
      ...{ statusCode: 200, body: files[asset] },
      headers: { 'content-type': type, 'cache-control': 'public, max-age=31536000, immutable', 'content-security-policy': policy },
    });
  });

  it('404: a file of another release', async () => {
    expect(await getAsset('app-CCCC3333.js')).toMatchObject({ statusCode: 404, body: { code: 'route.not_found' } });
  });

  it.each(['..%2F..%2Fpackage.json', 'index.html', 'LICENSES.txt', '../index.mjs', 'app-AAAA1111.js%00', 'APP-AAAA1111.JS', ''])(
    '400: %j is no name of a file, and none is read',
    async (asset) => {
      asked.length = 0;
      expect(await getAsset(asset)).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'path', path: 'asset' }] } });
      expect(asked).toEqual([]);
    },
  );
});

describe('whom the console talks to', () => {
  const origins = (env: Record<string, string>, more: Partial<Parameters<typeof originsOf>[0]> = {}) =>
    originsOf({ issuer: 'https://id.test/realms/fleet', bucket: 'files', others: '', env, ...more });

  it('in a cloud: the bucket and the issuer', () => {
    expect(origins({ AWS_REGION: 'eu-central-1' })).toEqual(['https://files.s3.eu-central-1.amazonaws.com', 'https://id.test']);
  });

  it('on a laptop: the S3 that is there', () => {
    expect(origins({ AWS_ENDPOINT_URL: 'http://127.0.0.1:4566', AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9000' })).toEqual([
      'http://127.0.0.1:9000',
      'https://id.test',
    ]);
  });

  it('what a stage names beside them, and no issuer that is no address', () => {
    expect(origins({ AWS_REGION: 'eu-west-1' }, { issuer: 'tests', others: 'https://token.test/oauth  https://id.test' })).toEqual([
      'https://files.s3.eu-west-1.amazonaws.com',
      'https://token.test',
      'https://id.test',
    ]);
  });
});
