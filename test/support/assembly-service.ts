import { type AssembleFirmwareDeps, assembleFirmware } from '../../lib/assembly/assemble-firmware.ts';
import { AssemblyRequest } from '../../lib/assembly/assembly.ts';
import { getAssembly } from '../../lib/assembly/get-assembly.ts';
import { AssembleMessage } from '../../lib/assembly/messages.ts';
import { createPackageSigner } from '../../lib/assembly/package-signature.ts';
import { type RequestAssembly, requestAssembly } from '../../lib/assembly/request-assembly.ts';
import type { Db } from '../../lib/db/database.ts';
import type { Firmware } from '../../lib/firmware/firmware.ts';
import { registerFirmware } from '../../lib/registration/register-firmware.ts';
import { createPackageKeys } from '../../ops/signing-keys.ts';
import { givenFirmware, silentLog, TestClock } from './fixtures.ts';
import { InMemoryObjectWriter } from './in-memory-object-writer.ts';
import { InMemoryQueue } from './in-memory-queue.ts';
import { InMemoryStorage } from './in-memory-storage.ts';

/** Of this test file. */
export const packageKeys = createPackageKeys();

let counter = 0;
const uniqueVersion = (): string => {
  counter += 1;
  return `7.${counter}.0`;
};

/** A firmware, and how it is installed if not as usual. */
export interface GivenPart {
  id: number;
  install?: Record<string, unknown>;
}

type GivenRequest = { parts?: readonly GivenPart[] } & Record<string, unknown>;

/** The use cases of an assembly on a real database, with queue and storage that are told what to do. */
export const createAssemblyService = (db: Db) => {
  const clock = new TestClock();
  const storage = new InMemoryStorage(clock.now);
  const deps = {
    db,
    now: clock.now,
    log: silentLog,
    assemblies: new InMemoryQueue<AssembleMessage>(),
    storage,
    writer: new InMemoryObjectWriter(storage),
    sign: createPackageSigner({ signing_key: packageKeys.PACKAGE_SIGNING_KEY, certificates: packageKeys.PACKAGE_CERTIFICATES }),
  };
  type Instead = Partial<Omit<AssembleFirmwareDeps, 'now'>>;

  const service = {
    clock,
    deps,
    request: (body: Record<string, unknown>, extra: Partial<RequestAssembly> = {}, instead: Instead = {}) =>
      requestAssembly(
        { ...deps, ...instead },
        {
          ...AssemblyRequest.parse({ hardware_type: 'cabinet', version: uniqueVersion(), ...body }),
          idempotency_key: undefined,
          created_by: 'engineer',
          request_id: 'request-1',
          ...extra,
        },
      ),
    assemble: (message: unknown, instead: Instead = {}, remainingMilliseconds = 300_000) =>
      assembleFirmware({ ...deps, ...instead }, AssembleMessage.parse(message), () => remainingMilliseconds),
    find: (id: number) => getAssembly(deps, id),

    /** An available firmware with bytes in the storage. */
    async givenPart(hardware_type: string, bytes = Buffer.from(`the ${hardware_type}`)) {
      const version = uniqueVersion();
      const object = storage.put(`firmwares/${hardware_type}/${version}/firmware.bin`, bytes);
      const firmware = await givenFirmware(db, { hardware_type, version, bytes, file_link: storage.toLink(object) });
      return { ...firmware, object, bytes };
    },

    /** A controller, a modem and a sound. */
    givenParts: () => Promise.all(['vega_mcu', 'vega_gsm', 'audio_lock'].map((type) => service.givenPart(type))),

    /** A requested assembly and its message. */
    async given({ parts, ...body }: GivenRequest = {}) {
      const chosen: readonly GivenPart[] = parts ?? (await service.givenParts());
      const assembly = await service.request({ parts: chosen.map(({ id, install }) => ({ firmware_id: id, install })), ...body });
      const [message] = deps.assemblies.take();
      if (!message) throw new Error('no message was sent');
      return { assembly, message, parts: chosen };
    },

    /** What the S3 events lead to. */
    async registerWritten(): Promise<void> {
      for (const object of deps.writer.written) await registerFirmware(deps, object);
    },

    /** A package that is available: its firmware and its bytes. */
    async givenPackage(body: GivenRequest = {}) {
      const { assembly, message } = await service.given(body);
      await service.assemble(message);
      await service.registerWritten();
      const object = deps.writer.written.at(-1);
      const firmware = await db.selectFrom('firmwares').selectAll().where('id', '=', assembly.firmware_id).executeTakeFirstOrThrow();
      if (firmware.status !== 'available' || !object) throw new Error(`The package is ${firmware.status}: ${firmware.reason}`);
      return { assembly, firmware: firmware as Firmware & typeof firmware, object, bytes: await storage.read(object) };
    },
  };
  return service;
};

export type AssemblyService = ReturnType<typeof createAssemblyService>;
