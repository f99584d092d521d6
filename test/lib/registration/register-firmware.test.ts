import { beforeEach, describe, expect, it } from 'vitest';
import { insertDraft } from '../../../lib/firmware/draft-queries.ts';
import { uploadFirmware } from '../../../lib/firmware/upload-firmware.ts';
import { NobodysObject, registerFirmware } from '../../../lib/registration/register-firmware.ts';
import { catalogueDeps, emptyCatalogue, firmwareBytes, firmwareHashes, promisedKey, storedFirmwares } from '../../support/catalogue.ts';
import { createTestDatabase } from '../../support/database.ts';
import { startOfTime } from '../../support/fixtures.ts';

const { db } = await createTestDatabase();
beforeEach(() => emptyCatalogue(db));

const key = 'firmwares/vega_mcu/1.4.2/firmware.bin';
const promise = {
  hardware_type: 'vega_mcu',
  version: '1.4.2',
  filename: 'firmware.bin',
  comment: 'brake',
  size_bytes: 14,
  sha256: firmwareHashes.sha256,
  created_by: 'engineer',
  request_id: 'request-1',
};

const setup = async ({ promised = true } = {}) => {
  const deps = catalogueDeps(db);
  const upload = promised ? (await uploadFirmware(deps, promise)).answer.upload : undefined;
  return { deps, upload };
};

describe('an object that keeps the promise', () => {
  it('becomes available with its facts, an ordinal and a link to its version', async () => {
    const { deps, upload } = await setup();
    const { object } = deps.storage.upload(upload ?? { url: '', headers: {} }, firmwareBytes);
    expect(await registerFirmware(deps, object ?? { key: '', version_id: '' })).toBe('available');
    expect(await storedFirmwares(db)).toEqual([
      {
        id: expect.any(Number),
        hardware_type: 'vega_mcu',
        version: '1.4.2',
        version_num: 1,
        status: 'available',
        reason: null,
        object_key: object?.key,
        file_link: `s3://memory/${object?.key}?versionId=${object?.version_id}`,
        size_bytes: 14,
        ...firmwareHashes,
        requires: [],
        minimum_from_version_num: null,
        author_signatures: [],
        signed_parts: [],
        revisions: null,
        assembly_id: null,
        upload_expires_dt: null,
        manifest_counter: expect.any(Number),
        comment: 'brake',
        created_by: 'engineer',
        created_dt: startOfTime,
      },
    ]);
  });

  it.each([true, false])('is checked by its bytes, whether S3 computed a checksum or not: %s', async (hasChecksum) => {
    const { deps } = await setup();
    expect(await registerFirmware(deps, deps.storage.put(key, firmwareBytes, { hasChecksum }))).toBe('available');
    expect(await storedFirmwares(db)).toMatchObject([firmwareHashes]);
  });
});

describe('an object that breaks the promise is rejected for ever, with a reason', () => {
  it.each([
    ['it is longer', Buffer.from('firmware 1.4.2!'), 'The file has 15 bytes; 14 were announced'],
    ['it is empty', Buffer.alloc(0), 'The file is empty'],
    [
      'it has other bytes of the same length',
      Buffer.from('firmware 1.4.3'),
      'The SHA-256 of the file is ea682c75aacc96e095588b973173ee846abab30cd71fbdc8b199a44f862b3ad2; 0a9353911e1abeeada18861206110183e892fde2aa913bf07c2faa1b53ce3cad was announced',
    ],
  ])('when %s', async (_, bytes, reason) => {
    const { deps } = await setup();
    const announced = await promisedKey(db, '1.4.2');
    const object = deps.storage.put(announced, bytes);
    expect(await registerFirmware(deps, object)).toBe('rejected');
    expect(await registerFirmware(deps, object)).toBe('registered_before');
    expect(await registerFirmware(deps, deps.storage.put(announced, firmwareBytes))).toBe('registered_before');
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'rejected', reason, version_num: null, file_link: null, sha1: null }]);
  });

  it('and takes no ordinal', async () => {
    const { deps } = await setup();
    await registerFirmware(deps, deps.storage.put(await promisedKey(db, '1.4.2'), Buffer.alloc(0)));
    await registerFirmware(deps, deps.storage.put('firmwares/vega_mcu/1.4.3/firmware.bin', firmwareBytes));
    expect(await storedFirmwares(db)).toMatchObject([
      { status: 'rejected', version_num: null },
      { status: 'available', version_num: 1 },
    ]);
  });
});

describe('an object that nobody announced', () => {
  it('becomes available, under the name of the pipeline', async () => {
    const { deps } = await setup({ promised: false });
    expect(await registerFirmware(deps, deps.storage.put('firmwares/vega_gsm/2.0 + beta/Vega GSM.bin', firmwareBytes))).toBe('available');
    expect(await storedFirmwares(db)).toMatchObject([
      {
        hardware_type: 'vega_gsm',
        version: '2.0 + beta',
        status: 'available',
        created_by: 's3',
        comment: '',
        size_bytes: 14,
        ...firmwareHashes,
      },
    ]);
  });

  it('is rejected with a reason when it is empty', async () => {
    const { deps } = await setup({ promised: false });
    expect(await registerFirmware(deps, deps.storage.put(key, Buffer.alloc(0)))).toBe('rejected');
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'rejected', reason: 'The file is empty' }]);
  });

  it('is rejected unread when it is a byte too large for its type, and taken when it is just not', async () => {
    await db.updateTable('hardware_types').set({ max_size_bytes: 14 }).where('name', '=', 'audio_lock').execute();
    const { deps } = await setup({ promised: false });
    expect(await registerFirmware(deps, deps.storage.put('firmwares/audio_lock/1/a.wav', Buffer.alloc(15)))).toBe('rejected');
    expect(deps.storage.discards).toBe(1);
    expect(await registerFirmware(deps, deps.storage.put('firmwares/audio_lock/2/a.wav', firmwareBytes))).toBe('available');
    expect(await storedFirmwares(db)).toMatchObject([
      { version: '1', status: 'rejected', reason: 'The file has 15 bytes; this hardware type takes 14 at most' },
      { version: '2', status: 'available' },
    ]);
  });

  it.each([
    ['with a key that is no firmware’s', 'firmwares/readme.txt'],
    ['of an unknown hardware type', 'firmwares/hoverboard/1.0/firmware.bin'],
    ['of a hardware type with the name of a property', 'firmwares/constructor/1.0/firmware.bin'],
  ])('%s is nobody’s: it throws and stores nothing', async (_, strangeKey) => {
    const { deps } = await setup({ promised: false });
    await expect(registerFirmware(deps, deps.storage.put(strangeKey, firmwareBytes))).rejects.toThrow(NobodysObject);
    expect(await storedFirmwares(db)).toEqual([]);
    expect(deps.storage.reads).toBe(0);
  });

  it('and is gone meanwhile is nobody’s: it throws and stores nothing', async () => {
    const { deps } = await setup({ promised: false });
    const object = deps.storage.put(key, firmwareBytes);
    deps.storage.remove(object);
    await expect(registerFirmware(deps, object)).rejects.toThrow(NobodysObject);
    expect(await storedFirmwares(db)).toEqual([]);
  });

  it('keeps texts that look like SQL as they are', async () => {
    const { deps } = await setup({ promised: false });
    const version = "1'; DROP TABLE firmwares; --";
    await registerFirmware(deps, deps.storage.put(`firmwares/vega_mcu/${version}/$1 "x".bin`, firmwareBytes));
    expect(await storedFirmwares(db)).toMatchObject([{ version, object_key: `firmwares/vega_mcu/${version}/$1 "x".bin` }]);
  });
});

describe('events that come again, late or in another order', () => {
  it('leave the first registered object the firmware for ever, and its bytes are not read again', async () => {
    const { deps } = await setup();
    const first = deps.storage.put(key, firmwareBytes);
    const second = deps.storage.put(key, Buffer.from('overwritten!!!'));
    expect(await registerFirmware(deps, first)).toBe('available');
    const before = await storedFirmwares(db);
    const { reads } = deps.storage;
    for (const object of [second, first, second]) expect(await registerFirmware(deps, object)).toBe('registered_before');
    expect(await storedFirmwares(db)).toEqual(before);
    expect(deps.storage.reads).toBe(reads);
  });

  it('a second upload to the same key changes nothing, also under another file name', async () => {
    const { deps } = await setup({ promised: false });
    await registerFirmware(deps, deps.storage.put(key, firmwareBytes));
    const before = await storedFirmwares(db);
    expect(await registerFirmware(deps, deps.storage.put('firmwares/vega_mcu/1.4.2/other.bin', Buffer.from('other')))).toBe(
      'registered_before',
    );
    expect(await storedFirmwares(db)).toEqual(before);
  });

  it('a withdrawn firmware stays withdrawn', async () => {
    const { deps } = await setup();
    const object = deps.storage.put(key, firmwareBytes);
    await registerFirmware(deps, object);
    await db.updateTable('firmwares').set({ status: 'withdrawn', reason: 'bricks scooters' }).execute();
    expect(await registerFirmware(deps, object)).toBe('registered_before');
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'withdrawn', version_num: 1 }]);
  });

  it('still yield the registered bytes after an overwrite', async () => {
    const { deps } = await setup();
    await registerFirmware(deps, deps.storage.put(key, firmwareBytes));
    deps.storage.put(key, Buffer.from('overwritten'));
    const [firmware] = await storedFirmwares(db);
    const { url } = await deps.storage.signDownload(deps.storage.fromLink(firmware?.file_link ?? ''));
    expect(deps.storage.download(url)).toEqual({ status: 200, bytes: firmwareBytes });
  });
});

describe('a crash or an outage on the way loses nothing', () => {
  it('between the draft and its availability: the repeated event makes it available, once', async () => {
    const { deps } = await setup({ promised: false });
    await insertDraft(db, {
      hardware_type: 'vega_mcu',
      version: '1.4.2',
      object_key: key,
      size_bytes: null,
      sha256: null,
      comment: '',
      created_by: 's3',
      created_dt: startOfTime,
    });
    expect(await registerFirmware(deps, deps.storage.put(key, firmwareBytes))).toBe('available');
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'available', version_num: 1, ...firmwareHashes }]);
  });

  it('while S3 is down: throws, stores nothing, and the repeated event succeeds', async () => {
    const { deps } = await setup();
    const object = deps.storage.put(key, firmwareBytes);
    deps.storage.isDown = true;
    await expect(registerFirmware(deps, object)).rejects.toMatchObject({ code: 'storage.unavailable' });
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'awaiting_upload' }]);
    deps.storage.isDown = false;
    expect(await registerFirmware(deps, object)).toBe('available');
  });

  it('while bytes are missing from the stream or differ from what S3 checked: throws, rejects nothing, and the repeated event succeeds', async () => {
    const { deps } = await setup();
    const object = deps.storage.put(key, firmwareBytes, { hasChecksum: true });
    const broken = (bytes: Buffer) => ({
      ...deps,
      storage: {
        toLink: deps.storage.toLink,
        findObject: async () => ({
          size_bytes: 14,
          sha256: firmwareHashes.sha256,
          bytes: (async function* () {
            yield bytes;
          })(),
          discard: () => {},
        }),
      },
    });
    await expect(registerFirmware(broken(firmwareBytes.subarray(0, 7)), object)).rejects.toThrow('cut');
    await expect(registerFirmware(broken(Buffer.from('firmware 1.4.3')), object)).rejects.toThrow('not those that S3 checked');
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'awaiting_upload' }]);
    expect(await registerFirmware(deps, object)).toBe('available');
  });
});
