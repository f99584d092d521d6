import { describe, expect, it } from 'vitest';
import { createS3 } from '../../lib/ports/s3-client.ts';
import { createS3Storage } from '../../lib/ports/s3-storage.ts';
import { startOfTime } from '../support/fixtures.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

const object = { key: 'firmwares/vega_mcu/1.0/firmware.bin', version_id: 'v1' };

const storageAt = (endpoint: string) => {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
  const s3 = createS3({ endpoint, region: 'eu-central-1', credentials });
  return createS3Storage({ bucket: 'firmwares', now: () => startOfTime, s3 });
};

const xml = (code: string) => `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>No</Message></Error>`;

describe('S3 that is broken', () => {
  it.each([
    [400, 'ExpiredToken'],
    [400, 'RequestTimeout'],
    [403, 'AccessDenied'],
    [404, 'NoSuchBucket'],
    [500, 'InternalError'],
    [503, 'SlowDown'],
  ])('is unavailable, and no sign that the object is gone: %i %s', async (status, code) => {
    const { url } = await startScriptedServer((response) =>
      response.writeHead(status, { 'content-type': 'application/xml' }).end(xml(code)),
    );
    await expect(storageAt(url).findObject(object)).rejects.toMatchObject({ code: 'storage.unavailable' });
  });

  it.each([
    [404, 'NoSuchKey'],
    [404, 'NoSuchVersion'],
    [405, 'MethodNotAllowed'],
    [400, 'InvalidArgument'],
  ])('says that there is no such version: %i %s', async (status, code) => {
    const { url } = await startScriptedServer((response) =>
      response.writeHead(status, { 'content-type': 'application/xml' }).end(xml(code)),
    );
    expect(await storageAt(url).findObject(object)).toBeUndefined();
  });

  it.each([
    [301, 'PermanentRedirect'],
    [403, 'AccessDenied'],
    [404, 'NoSuchBucket'],
    [503, 'SlowDown'],
  ])('does not pass for one that answers: %i %s', async (status) => {
    const { url } = await startScriptedServer((response) => void response.writeHead(status).end());
    await expect(storageAt(url).probe()).rejects.toMatchObject({ code: 'storage.unavailable' });
  });

  // Less than one attempt of any other request waits.
  it.concurrent('that hangs is soon found out', { timeout: 4_000 }, async ({ expect }) => {
    const { url } = await startScriptedServer(() => {});
    await expect(storageAt(url).probe()).rejects.toMatchObject({ code: 'storage.unavailable' });
  });

  it('is asked again after an overload', async () => {
    const { url } = await startScriptedServer((response, count) => {
      if (count === 1) response.writeHead(503, { 'content-type': 'application/xml' }).end(xml('SlowDown'));
      else response.writeHead(200, { 'content-length': '2' }).end('ab');
    });
    expect((await storageAt(url).findObject(object))?.size_bytes).toBe(2);
  });

  it('that cuts the bytes short is unavailable', async () => {
    const { url } = await startScriptedServer((response) => {
      response.writeHead(200, { 'content-length': '10' });
      response.write('abc', () => response.destroy());
    });
    const found = await storageAt(url).findObject(object);
    const read = async () => {
      for await (const _ of found?.bytes ?? []);
    };
    await expect(read()).rejects.toMatchObject({ code: 'storage.unavailable' });
  });

  it('that does not say a length is unavailable, and its object is not taken for an empty one', async () => {
    const { url } = await startScriptedServer((response) => void response.writeHead(200, { 'transfer-encoding': 'chunked' }).end('abc'));
    await expect(storageAt(url).findObject(object)).rejects.toMatchObject({ code: 'storage.unavailable' });
  });

  it.each([
    { 'x-amz-checksum-sha256': 'CpNTkR4avuraGIYSBhEBg+iS/eKqkTvwfC+qG1POPK0=-2' },
    { 'x-amz-checksum-sha256': 'CpNTkR4avuraGIYSBhEBg+iS/eKqkTvwfC+qG1POPK0=', 'x-amz-checksum-type': 'COMPOSITE' },
  ])('vouches for no bytes by a checksum of the checksums of parts: %j', async (headers) => {
    const { url } = await startScriptedServer((response) =>
      response.writeHead(200, { 'content-length': '14', ...headers }).end('firmware 1.4.2'),
    );
    expect(await storageAt(url).findObject(object)).toMatchObject({ size_bytes: 14, sha256: undefined });
  });

  it.concurrent('that hangs is given up and asked again', async ({ expect }) => {
    const { url, requests } = await startScriptedServer((response, count) => {
      if (count > 1) response.writeHead(200, { 'content-length': '2' }).end('ab');
    });
    expect((await storageAt(url).findObject(object))?.size_bytes).toBe(2);
    expect(requests).toHaveLength(2);
  });

  it.concurrent('that stops in the middle of the bytes is unavailable', async ({ expect }) => {
    const { url } = await startScriptedServer((response) => {
      response.writeHead(200, { 'content-length': '10' });
      response.write('abc');
    });
    const found = await storageAt(url).findObject(object);
    const read = async () => {
      for await (const _ of found?.bytes ?? []);
    };
    await expect(read()).rejects.toMatchObject({ code: 'storage.unavailable' });
  });
});
