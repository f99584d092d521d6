import { createHash } from 'node:crypto';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { createS3 } from '../../lib/ports/s3-client.ts';
import { createS3Storage } from '../../lib/ports/s3-storage.ts';
import type { ObjectVersion, SignedRequest, Storage, StoredObject } from '../../lib/ports/storage.ts';
import { unless } from '../support/emulator-gaps.ts';
import { startOfTime } from '../support/fixtures.ts';
import { InMemoryStorage } from '../support/in-memory-storage.ts';
import { openBucket } from '../support/s3-and-sqs.ts';

interface Bucket {
  storage: Storage;
  put(key: string, bytes: Buffer, options?: { hasChecksum?: boolean }): Promise<ObjectVersion>;
  upload(signed: Pick<SignedRequest, 'url' | 'headers'>, bytes: Buffer): Promise<number>;
  download(url: string, method?: 'GET' | 'HEAD'): Promise<{ status: number; bytes?: Buffer }>;
  goDown(): Promise<void>;
}

const now = () => startOfTime;

const inMemory = async (): Promise<Bucket> => {
  const storage = new InMemoryStorage(now);
  return {
    storage,
    put: async (key, bytes, options) => storage.put(key, bytes, options),
    upload: async (signed, bytes) => storage.upload(signed, bytes).status,
    download: async (url, method) => storage.download(url, method),
    goDown: async () => {
      storage.isDown = true;
    },
  };
};

const onS3 = async (): Promise<Bucket> => {
  const { bucket, client, options, stop } = await openBucket();
  return {
    storage: createS3Storage({ bucket, now, s3: createS3(options) }),
    put: async (key, bytes, { hasChecksum = false } = {}) => {
      const checksum = hasChecksum ? { ChecksumSHA256: createHash('sha256').update(bytes).digest('base64') } : {};
      const { VersionId = '' } = await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes, ...checksum }));
      return { key, version_id: VersionId };
    },
    upload: async ({ url, headers }, bytes) => {
      const { 'content-length': _, ...others } = headers; // fetch gives the true one
      return (await fetch(url, { method: 'PUT', headers: others, body: new Uint8Array(bytes) })).status;
    },
    download: async (url, method = 'GET') => {
      const response = await fetch(url, { method });
      const bytes = Buffer.from(await response.arrayBuffer());
      return response.ok && method === 'GET' ? { status: response.status, bytes } : { status: response.status };
    },
    goDown: stop,
  };
};

const firmware = Buffer.from('firmware 1.4.2');
const promise = {
  key: 'firmwares/vega_mcu/1.4.2/firmware.bin',
  size_bytes: 14,
  sha256: '0a9353911e1abeeada18861206110183e892fde2aa913bf07c2faa1b53ce3cad',
};
const strangeKey = `firmwares/vega_mcu/1.0 + β #2 100% ?versionId=x&a=b 'q' "d" <x> ..%2f%00 \\ (1)*~!$@=:;,/Vega MCU 🛴.bin`;
const bytesOf = async (object: StoredObject | undefined) => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of object?.bytes ?? []) chunks.push(chunk);
  return Buffer.concat(chunks);
};

describe.each([
  ['the bucket in memory', inMemory],
  ['S3', onS3],
])('%s', (_, open) => {
  unless('no end', 'says whether it answers', async () => {
    const { storage, goDown } = await open();
    await expect(storage.probe()).resolves.toBeUndefined();
    await goDown();
    await expect(storage.probe()).rejects.toMatchObject({ code: 'storage.unavailable' });
  });

  describe('a signed upload', () => {
    it('says how the bytes have to be sent, and until when', async () => {
      const { storage } = await open();
      const signed = await storage.signUpload(promise);
      expect(signed).toMatchObject({
        method: 'PUT',
        headers: { 'content-length': '14', 'if-none-match': '*', 'x-amz-checksum-sha256': 'CpNTkR4avuraGIYSBhEBg+iS/eKqkTvwfC+qG1POPK0=' },
        expires_dt: new Date('2026-11-24T09:00:00.000Z'),
      });
      expect(new URL(signed.url).pathname).toMatch(/\/firmwares\/vega_mcu\/1\.4\.2\/firmware\.bin$/);
    });

    it('takes the promised bytes once, and keeps them', async () => {
      const { storage, upload } = await open();
      expect(await upload(await storage.signUpload(promise), firmware)).toBe(200);
      expect(await upload(await storage.signUpload(promise), firmware)).toBe(412);
    });

    it('takes a second upload by the same link neither', async () => {
      const { storage, upload } = await open();
      const signed = await storage.signUpload(promise);
      expect([await upload(signed, firmware), await upload(signed, firmware)]).toEqual([200, 412]);
    });

    it('takes one of two uploads at once', async () => {
      const { storage, upload } = await open();
      const links = await Promise.all(Array.from({ length: 8 }, () => storage.signUpload(promise)));
      const statuses = await Promise.all(links.map((link) => upload(link, firmware)));
      expect(statuses.toSorted()).toEqual([200, 412, 412, 412, 412, 412, 412, 412]);
    });

    it('refuses other bytes of the same length, fewer and more bytes, and still takes the right ones', async () => {
      const { storage, upload } = await open();
      const signed = await storage.signUpload(promise);
      expect(await upload(signed, Buffer.from('firmware 1.4.3'))).toBe(400);
      expect(await upload(signed, firmware.subarray(1))).toBe(403);
      expect(await upload(signed, Buffer.concat([firmware, firmware]))).toBe(403);
      expect(await upload(signed, Buffer.alloc(0))).toBe(403);
      expect(await upload(signed, firmware)).toBe(200);
    });

    it('refuses headers that were exchanged or left out', async () => {
      const { storage, upload } = await open();
      const { url, headers } = await storage.signUpload(promise);
      const { 'x-amz-checksum-sha256': checksum = '', ...withoutChecksum } = headers;
      const { 'if-none-match': _condition, ...withoutCondition } = headers;
      expect(await upload({ url, headers: withoutChecksum }, firmware)).toBe(403);
      expect(await upload({ url, headers: withoutCondition }, firmware)).toBe(403);
      expect(await upload({ url, headers: { ...headers, 'x-amz-checksum-sha256': checksum.replace('C', 'D') } }, firmware)).toBe(403);
    });

    it('refuses a link that was changed, for example to another key', async () => {
      const { storage, upload } = await open();
      const { url, headers } = await storage.signUpload(promise);
      expect(await upload({ url: url.replace('1.4.2', '1.4.3'), headers }, firmware)).toBe(403);
      expect(await upload({ url: url.slice(0, -1) + (url.endsWith('0') ? '1' : '0'), headers }, firmware)).toBe(403);
    });

    it('works for a key of any characters', async () => {
      const { storage, upload } = await open();
      expect(await upload(await storage.signUpload({ ...promise, key: strangeKey }), firmware)).toBe(200);
    });
  });

  describe('an object', () => {
    it.each([true, false])('is found with its bytes; S3’s own checksum: %s', async (hasChecksum) => {
      const { storage, put } = await open();
      const found = await storage.findObject(await put(promise.key, firmware, { hasChecksum }));
      expect(found).toMatchObject({ size_bytes: 14, sha256: hasChecksum ? promise.sha256 : undefined });
      expect(await bytesOf(found)).toEqual(firmware);
    });

    it('has S3’s own checksum when it came by a signed upload', async () => {
      const { storage, put, upload } = await open();
      await upload(await storage.signUpload(promise), firmware);
      const again = await storage.findObject(await put(promise.key, firmware, { hasChecksum: true }));
      expect(again?.sha256).toBe(promise.sha256);
    });

    it('comes in several pieces when it is large, and byte for byte', async () => {
      const { storage, put } = await open();
      const large = Buffer.alloc(3_000_000, 'firmware ');
      const found = await storage.findObject(await put(promise.key, large));
      const sizes: number[] = [];
      const hash = createHash('sha256');
      for await (const chunk of found?.bytes ?? []) {
        sizes.push(chunk.length);
        hash.update(chunk);
      }
      expect(sizes.length).toBeGreaterThan(3);
      expect(hash.digest('hex')).toBe(createHash('sha256').update(large).digest('hex'));
    });

    it('may be empty', async () => {
      const { storage, put } = await open();
      const found = await storage.findObject(await put(promise.key, Buffer.alloc(0)));
      expect(found?.size_bytes).toBe(0);
      expect(await bytesOf(found)).toHaveLength(0);
    });

    it('can be let go without reading it', async () => {
      const { storage, put } = await open();
      const object = await put(promise.key, Buffer.alloc(3_000_000));
      (await storage.findObject(object))?.discard();
      expect((await storage.findObject(object))?.size_bytes).toBe(3_000_000);
    });

    it('keeps its bytes for ever under its version, whatever is put over it', async () => {
      const { storage, put } = await open();
      const first = await put(promise.key, firmware);
      const second = await put(promise.key, Buffer.from('other'));
      expect(second.version_id).not.toBe(first.version_id);
      expect(await bytesOf(await storage.findObject(first))).toEqual(firmware);
      expect(await bytesOf(await storage.findObject(second))).toEqual(Buffer.from('other'));
    });

    it('is not found under another key, another version or what is no version at all', async () => {
      const { storage, put } = await open();
      const object = await put(promise.key, firmware);
      const other = await put('firmwares/vega_mcu/1.4.3/firmware.bin', firmware);
      expect(await storage.findObject({ ...object, key: 'firmwares/vega_mcu/nothing/firmware.bin' })).toBeUndefined();
      expect(await storage.findObject({ ...object, version_id: other.version_id })).toBeUndefined();
      expect(await storage.findObject({ ...object, version_id: "' OR 1=1 --" })).toBeUndefined();
    });

    unless('no end', 'is unavailable, not absent, while the storage is down; links are still signed', async () => {
      const { storage, put, goDown } = await open();
      const object = await put(promise.key, firmware);
      await goDown();
      await expect(storage.findObject(object)).rejects.toMatchObject({ code: 'storage.unavailable' });
      expect((await storage.signDownload(object)).url).toMatch(/^https?:/);
      expect((await storage.signUpload(promise)).method).toBe('PUT');
    });
  });

  describe('the latest version of a key', () => {
    it('is the one that was written last; a key that was never written has none', async () => {
      const { storage, put } = await open();
      expect(await storage.findLatest(strangeKey)).toBeUndefined();
      await put(strangeKey, firmware);
      const second = await put(strangeKey, Buffer.from('another'));
      expect(await storage.findLatest(strangeKey)).toEqual(second);
      expect(await storage.findLatest('firmwares/vega_mcu/1.4.2')).toBeUndefined();
    });

    unless('no end', 'is not known while S3 does not answer', async () => {
      const { storage, goDown } = await open();
      await goDown();
      await expect(storage.findLatest('firmwares/vega_mcu/1.4.2/firmware.bin')).rejects.toMatchObject({ code: 'storage.unavailable' });
    });
  });

  describe('a link', () => {
    it('to download yields the bytes of its version, also after an overwrite', async () => {
      const { storage, put, download } = await open();
      const { url, expires_dt } = await storage.signDownload(await put(promise.key, firmware));
      await put(promise.key, Buffer.from('overwritten'));
      expect(await download(url)).toEqual({ status: 200, bytes: firmware });
      expect(expires_dt).toEqual(new Date('2026-11-24T09:00:00.000Z'));
    });

    it('to download is good for one method', async () => {
      const { storage, put, download } = await open();
      const object = await put(promise.key, firmware);
      const [get, head] = [await storage.signDownload(object), await storage.signDownload(object, 'HEAD')];
      expect(await download(head.url, 'HEAD')).toEqual({ status: 200 });
      expect((await download(head.url)).status).toBe(403);
      expect((await download(get.url, 'HEAD')).status).toBe(403);
    });

    it('to download does not open another version', async () => {
      const { storage, put, download } = await open();
      const first = await put(promise.key, firmware);
      const second = await put(promise.key, Buffer.from('secret'));
      const { url } = await storage.signDownload(first);
      expect((await download(url.replace(first.version_id, second.version_id))).status).toBe(403);
    });

    it('to download answers 404 when there is nothing any more', async () => {
      const { storage, put, download } = await open();
      const object = await put(promise.key, firmware);
      const { url } = await storage.signDownload({ ...object, key: 'firmwares/vega_mcu/nothing/firmware.bin' });
      expect((await download(url)).status).toBe(404);
    });

    it('to a file leads back to the same version, whatever characters the key has', async () => {
      const { storage, put, download } = await open();
      for (const key of [promise.key, strangeKey]) {
        const object = await put(key, Buffer.from(key));
        const link = storage.toLink(object);
        expect(link).toMatch(/^s3:\/\/[a-z0-9-]+\/firmwares\/.+\?versionId=[^?]+$/);
        expect(storage.fromLink(link)).toEqual(object);
        const { url } = await storage.signDownload(storage.fromLink(link));
        expect(await download(url)).toEqual({ status: 200, bytes: Buffer.from(key) });
      }
    });

    it('to a file of somewhere else is refused', async () => {
      const { storage } = await open();
      for (const link of ['', 's3://other/firmwares/a?versionId=1', 's3://memory/firmwares/a', 'https://firmwares-of-test/a?versionId=1']) {
        expect(() => storage.fromLink(link), link).toThrow();
      }
    });
  });
});
