import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { editFirmware } from '../../../lib/firmware/edit-firmware.ts';
import type { ObjectWriter } from '../../../lib/ports/object-writer.ts';
import { storageUnavailable } from '../../../lib/ports/s3-storage.ts';
import type { StoredObject } from '../../../lib/ports/storage.ts';
import { NobodysObject, registerFirmware } from '../../../lib/registration/register-firmware.ts';
import { UnderWay } from '../../../lib/walk.ts';
import { type AssemblyService, createAssemblyService } from '../../support/assembly-service.ts';
import { createTestDatabase } from '../../support/database.ts';
import { actor, silentLog, startOfTime } from '../../support/fixtures.ts';

const { db } = await createTestDatabase();
let service: AssemblyService;
beforeEach(() => {
  service = createAssemblyService(db);
});

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const withdraw = (id: number, reason: string) =>
  editFirmware({ db, log: silentLog, now: () => startOfTime }, id, { status: 'withdrawn', reason }, actor);
const storedFirmware = (id: number) => db.selectFrom('firmwares').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

describe('a package', () => {
  it('is written under the key from which it is registered, and is then a firmware like any other', async () => {
    const { assembly, message, parts } = await service.given({
      comment: 'autumn',
      requires: [{ hardware_type: 'vega_gsm', minimum_version_num: 1 }],
    });
    await service.assemble(message);
    const [object] = service.deps.writer.written;
    expect(object?.key).toBe(`firmwares/cabinet/${assembly.version}/firmware.swu`);
    expect(await service.find(assembly.id)).toMatchObject({ status: 'IN_PROGRESS', published_dt: service.clock.now() });

    await service.registerWritten();
    const bytes = await service.deps.storage.read(object ?? { key: '', version_id: '' });
    expect(await storedFirmware(assembly.firmware_id)).toMatchObject({
      status: 'available',
      hardware_type: 'cabinet',
      size_bytes: bytes.length,
      sha256: sha256Of(bytes),
      requires: [{ hardware_type: 'vega_gsm', minimum_version_num: 1 }],
      comment: 'autumn',
    });
    expect(await service.find(assembly.id)).toMatchObject({
      status: 'COMPLETED',
      reason: null,
      sha256: sha256Of(bytes),
      attempts: 1,
      parts: parts.map(({ id }) => ({ firmware_id: id })),
    });
  });

  it('holds the bytes of its parts, in their order', async () => {
    const { bytes } = await service.givenPackage();
    const positions = ['the vega_mcu', 'the vega_gsm', 'the audio_lock'].map((text) =>
      bytes.indexOf(`${text}`, bytes.indexOf('vega_mcu.bin\0')),
    );
    expect(positions).toEqual(positions.toSorted((a, b) => a - b));
    expect(positions[0]).toBeGreaterThan(0);
  });

  it('is the same to the byte when the same is assembled again', async () => {
    const { assembly, message } = await service.given();
    await service.assemble(message);
    const [first] = service.deps.writer.written;
    // As after a crash before anything of it was noted, and with the object gone.
    const again = createAssemblyService(db);
    await db.updateTable('assemblies').set({ published_dt: null }).where('id', '=', assembly.id).execute();
    const storage = { fromLink: service.deps.storage.fromLink, findObject: (o: never) => service.deps.storage.findObject(o) };
    await again.assemble(message, { storage, sign: service.deps.sign });
    const [second] = again.deps.writer.written;
    if (!first || !second) throw new Error('nothing was written');
    expect(await again.deps.storage.read(second)).toEqual(await service.deps.storage.read(first));
  });
});

describe('a part that is to blame ends the assembly by name, and nothing is published', () => {
  const failsWith = async ({ assembly, message }: Awaited<ReturnType<AssemblyService['given']>>, reason: RegExp, instead = {}) => {
    await service.assemble(message, instead);
    expect(service.deps.writer.written).toEqual([]);
    const found = await service.find(assembly.id);
    expect(found).toMatchObject({ status: 'FAILED', published_dt: null });
    expect(found.reason).toMatch(reason);
    expect(await storedFirmware(assembly.firmware_id)).toMatchObject({ status: 'rejected', reason: found.reason, version_num: null });
    // The message is done with.
    await service.assemble(message);
    expect(service.deps.assemblies.sent).toEqual([]);
    expect(await service.find(assembly.id)).toMatchObject({ attempts: 1 });
  };

  it('withdrawn before the work began', async () => {
    const given = await service.given();
    await withdraw(given.parts[1]?.id ?? 0, 'bricks modems');
    await failsWith(given, /^Part vega_gsm 7\.\d+\.0 \(firmware \d+\) is withdrawn: bricks modems$/);
  });

  it('withdrawn while the package was being written', async () => {
    const given = await service.given();
    const { writer } = service.deps;
    const slow: ObjectWriter = {
      write: (key, bytes) =>
        writer.write(
          key,
          (async function* () {
            let isFirst = true;
            for await (const chunk of bytes) {
              if (isFirst) await withdraw(given.parts[2]?.id ?? 0, 'too loud');
              isFirst = false;
              yield chunk;
            }
          })(),
        ),
    };
    await failsWith(given, /^Part audio_lock .* is withdrawn: too loud$/, { writer: slow });
  });

  it('lost from the storage', async () => {
    const part = await service.givenPart('vega_mcu');
    const given = await service.given({ parts: [part, await service.givenPart('vega_gsm')] });
    service.deps.storage.remove(part.object);
    await failsWith(given, /^Part vega_mcu 7\.\d+\.0 \(firmware \d+\) is not in the storage any more$/);
  });

  it('of another length than was registered, without reading it', async () => {
    const part = await service.givenPart('vega_mcu', Buffer.from('12345'));
    const given = await service.given({ parts: [part] });
    service.deps.storage.corrupt(part.object, Buffer.from('1234'));
    await failsWith(given, /^Part vega_mcu .* has 4 bytes in the storage; 5 were registered$/);
    expect(service.deps.storage.discards).toBe(1);
  });

  it('of other bytes than were registered', async () => {
    const part = await service.givenPart('vega_mcu', Buffer.from('12345'));
    const given = await service.given({ parts: [await service.givenPart('vega_gsm'), part] });
    service.deps.storage.corrupt(part.object, Buffer.from('12346'));
    await failsWith(
      given,
      /^Part vega_mcu .* has the SHA-256 34d128f5b3dede622e107438fbefabdf0519ebab21ac7b6f2075f974d09ce524 in the storage; 5994471abb/,
    );
  });

  it('a package too large for its hardware type is rejected when it is registered', async () => {
    await db.updateTable('hardware_types').set({ max_size_bytes: 40 }).where('name', '=', 'cabinet').execute();
    const given = await service.given({ parts: [await service.givenPart('vega_mcu', Buffer.from('12345'))] });
    await service.assemble(given.message);
    await service.registerWritten();
    await db
      .updateTable('hardware_types')
      .set({ max_size_bytes: 1024 ** 3 })
      .where('name', '=', 'cabinet')
      .execute();
    expect(await service.find(given.assembly.id)).toMatchObject({ status: 'FAILED', reason: expect.stringMatching(/takes 40 at most/) });
  });
});

describe('trouble that passes', () => {
  it('is noted while the storage is away, for the message to be sent anew, and goes on by itself', async () => {
    const { assembly, message } = await service.given();
    service.deps.storage.isDown = true;
    for (let attempt = 0; attempt < 10; attempt += 1) {
      await expect(service.assemble(message)).rejects.toMatchObject({ code: 'storage.unavailable' });
    }
    expect(await service.find(assembly.id)).toMatchObject({
      status: 'IN_PROGRESS',
      attempts: 10,
      last_error: 'The file storage does not answer',
      last_error_dt: service.clock.now(),
    });
    service.deps.storage.isDown = false;
    await service.assemble(message);
    await service.registerWritten();
    expect(await service.find(assembly.id)).toMatchObject({ status: 'COMPLETED', attempts: 11 });
  });

  it('a storage that fails amid a part fails no assembly', async () => {
    const { assembly, message } = await service.given();
    const { storage } = service.deps;
    const breaking = {
      fromLink: (link: string) => storage.fromLink(link),
      async findObject(): Promise<StoredObject> {
        return {
          size_bytes: 12,
          sha256: undefined,
          // biome-ignore lint/correctness/useYield: it breaks before its first byte
          bytes: (async function* (): AsyncGenerator<Uint8Array> {
            throw storageUnavailable(new Error('connection reset'));
          })(),
          discard() {},
        };
      },
    };
    await expect(service.assemble(message, { storage: breaking })).rejects.toMatchObject({ code: 'storage.unavailable' });
    expect(service.deps.writer.written).toEqual([]);
    expect(await service.find(assembly.id)).toMatchObject({ status: 'IN_PROGRESS' });
    await service.assemble(message);
    expect(service.deps.writer.written).toHaveLength(1);
  });

  it('an answer that was lost after the package was written makes no second package', async () => {
    const { assembly, message } = await service.given();
    service.deps.writer.losesAnswer = true;
    await expect(service.assemble(message)).rejects.toMatchObject({ code: 'storage.unavailable' });
    await service.assemble(message);
    expect(service.deps.writer.written).toHaveLength(1);
    await service.registerWritten();
    expect(await service.find(assembly.id)).toMatchObject({ status: 'COMPLETED', attempts: 2 });
  });

  it('what is not foreseen fails the message, and says so', async () => {
    const { assembly, message } = await service.given();
    const sign = async () => {
      throw new Error('the key is gone');
    };
    await expect(service.assemble(message, { sign })).rejects.toThrow('the key is gone');
    expect(await service.find(assembly.id)).toMatchObject({ status: 'IN_PROGRESS', last_error: 'the key is gone' });
  });

  it('time that does not suffice fails the message, and leaves no package', async () => {
    const { assembly, message } = await service.given();
    await expect(service.assemble(message, {}, 14_999)).rejects.toThrow('time of the function');
    expect(service.deps.writer.written).toEqual([]);
    expect(await service.find(assembly.id)).toMatchObject({ status: 'IN_PROGRESS', last_error: expect.stringContaining('time') });
  });
});

describe('crashes and duplicates', () => {
  it('a message that was sent before the commit looks again, and is dropped when the commit cannot come any more', async () => {
    const message = { assembly_id: 999_999, created_dt: service.clock.now() };
    await service.assemble(message);
    expect(service.deps.assemblies.take()).toHaveLength(1);
    service.clock.advance(60);
    await service.assemble(message);
    expect(service.deps.assemblies.take()).toEqual([]);
  });

  it('two deliveries at one moment make one package', async () => {
    const { message } = await service.given();
    await Promise.allSettled([service.assemble(message), service.assemble(message)]);
    expect(service.deps.writer.written).toHaveLength(1);
  });

  it('a delivery while another is at work is handed back until it has ended', async () => {
    const { message } = await service.given();
    const { writer } = service.deps;
    let handedBack = 0;
    const write: ObjectWriter['write'] = async (key, bytes) => {
      await expect(service.assemble(message)).rejects.toThrow(UnderWay);
      handedBack += 1;
      return writer.write(key, bytes);
    };
    await service.assemble(message, { writer: { write } });
    expect(handedBack).toBe(1);
    expect(writer.written).toHaveLength(1);
    await service.assemble(message);
    expect(service.deps.writer.written).toHaveLength(1);
  });

  it('a function that died amid the work is followed by another when its time is over', async () => {
    const { assembly, message } = await service.given();
    await db.updateTable('assemblies').set({ claimed_dt: service.clock.now(), attempts: 1 }).where('id', '=', assembly.id).execute();
    await expect(service.assemble(message)).rejects.toThrow(UnderWay);
    service.clock.advance(301);
    await service.assemble(message);
    expect(service.deps.writer.written).toHaveLength(1);
  });

  it('an assembly whose message has died is STALLED, and its request sent again revives it', async () => {
    const parts = await service.givenParts();
    const body = { parts: parts.map(({ id }) => ({ firmware_id: id })), version: 'stalled' };
    const { id } = await service.request(body, { idempotency_key: 'stalled' });
    service.deps.assemblies.take();
    service.clock.advance(2_400);
    expect(await service.find(id)).toMatchObject({ status: 'IN_PROGRESS' });
    service.clock.advance(1);
    expect(await service.find(id)).toMatchObject({ status: 'STALLED' });
    expect(await service.request(body, { idempotency_key: 'stalled' })).toMatchObject({ id, status: 'IN_PROGRESS' });
    for (const message of service.deps.assemblies.take()) await service.assemble(message);
    await service.registerWritten();
    expect(await service.find(id)).toMatchObject({ status: 'COMPLETED' });
  });
});

describe('somebody else’s object under the reserved version', () => {
  it('before the package is written, is nobody’s: the reservation stays', async () => {
    const { assembly, message } = await service.given();
    const stranger = service.deps.storage.put(`firmwares/cabinet/${assembly.version}/firmware.bin`, Buffer.from('a stranger'));
    await expect(registerFirmware(service.deps, stranger)).rejects.toThrow(NobodysObject);
    await service.assemble(message);
    await service.registerWritten();
    expect(await service.find(assembly.id)).toMatchObject({ status: 'COMPLETED' });
  });

  it('put in place of the package, is not taken for it', async () => {
    const { assembly, message } = await service.given();
    await service.assemble(message);
    const swapped = service.deps.storage.put(`firmwares/cabinet/${assembly.version}/firmware.swu`, Buffer.from('a stranger'));
    expect(await registerFirmware(service.deps, swapped)).toBe('rejected');
    expect(await service.find(assembly.id)).toMatchObject({ status: 'FAILED', reason: expect.stringContaining('announced') });
  });
});
