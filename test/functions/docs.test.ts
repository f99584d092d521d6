import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/docs/handler.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';

const { authenticate } = await createIdentity();
const require = createRequire(import.meta.url);
const readAsset = async (name: string) => readFileSync(require.resolve(`swagger-ui-dist/${name}`), 'utf8');
const handler = createHandler({ authenticate, log: createRecordingLog(), readAsset });

const getAsset = (asset: string) => call<string>(handler, { method: 'GET', path: '/docs/{asset}', pathParameters: { asset } });

/** Lambda answers no more than this. */
const maximumAnswerBytes = 6 * 1024 * 1024;

describe('GET /openapi.json', () => {
  it('200: the document, to everybody, the same each time', async () => {
    const request = { method: 'GET', path: '/openapi.json' };
    const first = await call(handler, request);
    expect(first).toMatchObject({ statusCode: 200, headers: { 'content-type': 'application/json' }, body: { openapi: '3.1.0' } });
    expect((await call(handler, request)).body).toEqual(first.body);
  });
});

describe('GET /docs', () => {
  const getPage = () => call<string>(handler, { method: 'GET', path: '/docs' });

  it('200: a page that needs nothing from the internet', async () => {
    const { statusCode, headers, body } = await getPage();
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(body).not.toMatch(/https?:|\/\//);
    expect(headers['content-security-policy']).toMatch(/^default-src 'self';/);
    expect(headers['x-content-type-options']).toBe('nosniff');
  });

  it('200: everything it loads can be had from the service, also below a stage’s path', async () => {
    const { body } = await getPage();
    const addresses = [...body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address ?? '');
    expect(addresses).toHaveLength(3);
    for (const address of addresses) {
      for (const base of ['https://api.test/docs', 'https://api.test/prod/docs']) {
        expect(new URL(address, base).pathname).toMatch(/^(\/prod)?\/docs\/[\w.-]+$/);
      }
      expect(await getAsset(address.replace(/^docs\//, ''))).toMatchObject({ statusCode: 200 });
    }
  });

  it('200: it has no script or style in the page itself, which its own policy would forbid', async () => {
    const { body } = await getPage();
    expect(body).not.toMatch(/<style|style=|onload=|<script>|javascript:/);
  });
});

describe('GET /docs/{asset}', () => {
  it.each([
    ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
    ['swagger-ui.css', 'text/css; charset=utf-8'],
    ['page.js', 'text/javascript; charset=utf-8'],
  ])('200: %s as %s, small enough for Lambda', async (asset, type) => {
    const { statusCode, headers, body } = await getAsset(asset);
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toBe(type);
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(body.length).toBeGreaterThan(10);
    expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThan(maximumAnswerBytes);
  });

  it('200: the script asks for the document of this very service', async () => {
    const { body } = await getAsset('page.js');
    const [, address = ''] = /url: '([^']+)'/.exec(body) ?? [];
    expect(new URL(address, 'https://api.test/prod/docs').pathname).toBe('/prod/openapi.json');
  });

  it.each(['..%2F..%2Fpackage.json', 'index.html', '__proto__', 'constructor', 'page.js%00', 'PAGE.JS', ''])(
    '400: %j is no part of the page, and no file is read',
    async (asset) => {
      const answer = await call(handler, { method: 'GET', path: '/docs/{asset}', pathParameters: { asset } });
      expect(answer).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'path', path: 'asset' }] } });
    },
  );
});
