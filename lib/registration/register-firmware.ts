import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { findRefusal, parseFirmwareKey } from '../firmware/firmware.ts';
import { type AvailableFirmware, findFirmwareByVersion, insertDraft, makeAvailable, rejectDraft } from '../firmware/firmware-queries.ts';
import { findHardwareType, lockCatalogue } from '../firmware/hardware-type-queries.ts';
import type { Log } from '../log.ts';
import type { ObjectVersion, Storage } from '../ports/storage.ts';
import { type LinkedFirmware, linkDevices } from '../report/report-queries.ts';

export interface RegisterFirmwareDeps {
  db: Db;
  storage: Pick<Storage, 'findObject' | 'toLink'>;
  log: Log;
  now: Clock;
}

/** Created by a build pipeline that wrote into the bucket by itself. */
const pipeline = 's3';

/** An object that can never become a firmware; thrown, so that its message ends in the dead-letter queue where somebody looks. */
export class NobodysObject extends Error {
  override readonly name = 'NobodysObject';
}

export type Registration = 'available' | 'rejected' | 'registered_before';

/**
 * Makes the firmware of an object that was put under `firmwares/{hardware_type}/{version}/{filename}` available, or rejects it with a
 * reason. The first object of a version that is registered is the firmware for ever: repeated and reordered events, and later
 * objects under the same key, change nothing. Devices that were reported to run the version before it was in the catalogue are linked to
 * it. Does not rely on S3 having checked anything.
 *
 * @throws {@link NobodysObject} when the key, its hardware type or the object itself says that it is no firmware.
 */
export async function registerFirmware(deps: RegisterFirmwareDeps, object: ObjectVersion): Promise<Registration> {
  const parsed = parseFirmwareKey(object.key);
  if (!parsed) throw new NobodysObject(`The key is not firmwares/{hardware_type}/{version}/{filename}: ${object.key}`);
  const type = await findHardwareType(deps.db, parsed.hardware_type);
  if (!type) throw new NobodysObject(`There is no hardware type ${parsed.hardware_type}`);

  const existing = await findFirmwareByVersion(deps.db, parsed);
  if (existing && existing.status !== 'awaiting_upload') {
    deps.log.info('object of a registered version', { firmware_id: existing.id, status: existing.status, version_id: object.version_id });
    // A registration that ended before its time may have left some for its repetition.
    if (existing.status !== 'rejected') await linkAllDevices(deps.db, existing);
    return 'registered_before';
  }
  if (existing && existing.assembly_id !== null && existing.sha256 === null) {
    throw new NobodysObject(`Version ${existing.version} of ${existing.hardware_type} is being assembled: nobody else may put its file`);
  }

  const facts = await readFacts(deps.storage, object, type.max_size_bytes);
  if (!facts) throw new NobodysObject(`There is no object ${object.key}, version ${object.version_id}`);

  const draft = existing ?? (await insertDraftOf(deps, object.key, parsed));
  const refusal = findRefusal(facts, draft, type.max_size_bytes);
  const changed = refusal
    ? await rejectDraft(deps.db, draft.id, refusal)
    : await becomeAvailable(deps.db, draft, { ...facts, file_link: deps.storage.toLink(object) });
  if (!changed) return 'registered_before';
  deps.log.info(refusal ? 'firmware rejected' : 'firmware available', { firmware_id: draft.id, version_id: object.version_id });
  return refusal ? 'rejected' : 'available';
}

/** So many devices are linked in one transaction, in some 0.2 s; reports about the hardware type wait as long, and come through between two. */
const linksPerTransaction = 10_000;

/** Devices that run the version already are linked to it: in the same transaction, unless they are very many. */
const becomeAvailable = async (db: Db, draft: LinkedFirmware, facts: AvailableFirmware): Promise<boolean> => {
  const available = await db.transaction().execute(async (trx) => {
    await lockCatalogue(trx, draft.hardware_type);
    const row = await makeAvailable(trx, draft.id, facts);
    if (row) await linkDevices(trx, draft, linksPerTransaction);
    return row;
  });
  if (available) await linkAllDevices(db, draft);
  return available !== undefined;
};

const linkAllDevices = async (db: Db, firmware: LinkedFirmware): Promise<void> => {
  let linked: number;
  do {
    linked = await db.transaction().execute(async (trx) => {
      await lockCatalogue(trx, firmware.hardware_type);
      return linkDevices(trx, firmware, linksPerTransaction);
    });
  } while (linked === linksPerTransaction);
};

/** A version nobody announced: two events about it at one moment make one draft. */
const insertDraftOf = async (deps: RegisterFirmwareDeps, object_key: string, parsed: { hardware_type: string; version: string }) => {
  const { hardware_type, version } = parsed;
  const draft = {
    hardware_type,
    version,
    object_key,
    size_bytes: null,
    sha256: null,
    comment: '',
    created_by: pipeline,
    created_dt: deps.now(),
  };
  const row = (await insertDraft(deps.db, draft)) ?? (await findFirmwareByVersion(deps.db, parsed));
  if (!row) throw new Error('A version that could not be inserted because it exists does not exist');
  return row;
};

/**
 * Size and hashes from the bytes themselves, read once as a stream. A file too large for its type is not read: its size alone
 * rejects it.
 */
const readFacts = async (storage: Pick<Storage, 'findObject'>, object: ObjectVersion, maximumSizeBytes: number) => {
  const found = await storage.findObject(object);
  if (!found) return undefined;
  const hashes = { sha256: createHash('sha256'), sha1: createHash('sha1'), md5: createHash('md5') };
  let size_bytes = 0;
  if (found.size_bytes > maximumSizeBytes) {
    size_bytes = found.size_bytes;
    found.discard();
  } else {
    for await (const chunk of found.bytes) {
      size_bytes += chunk.length;
      for (const hash of Object.values(hashes)) hash.update(chunk);
    }
    if (size_bytes !== found.size_bytes) throw new Error(`The object was cut: ${size_bytes} of ${found.size_bytes} bytes came`);
  }
  const sha256 = hashes.sha256.digest('hex');
  if (found.sha256 && found.sha256 !== sha256 && size_bytes <= maximumSizeBytes) {
    throw new Error('The bytes that came are not those that S3 checked');
  }
  return { size_bytes, sha256, sha1: hashes.sha1.digest('hex'), md5: hashes.md5.digest('hex') };
};
