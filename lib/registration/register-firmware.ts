import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { type Draft, insertDraft, rejectDraft } from '../firmware/draft-queries.ts';
import { type FileContent, FileInspector } from '../firmware/file-kind.ts';
import {
  type Firmware,
  type FirmwareKey,
  findContentRefusal,
  findFileRefusal,
  isRegistered,
  parseFirmwareKey,
} from '../firmware/firmware.ts';
import { findFirmwareByVersion, restoreFile } from '../firmware/firmware-queries.ts';
import type { HardwareType } from '../firmware/hardware-type.ts';
import { findHardwareType, lockHardwareType } from '../firmware/hardware-type-queries.ts';
import { findLookAlikes, findVersionRefusal } from '../firmware/new-version.ts';
import type { Log } from '../log.ts';
import type { ObjectVersion, Storage } from '../ports/storage.ts';
import { type AvailabilityDeps, becomeAvailable, linkAllDevices, type Outcome } from './become-available.ts';

export interface RegisterFirmwareDeps extends AvailabilityDeps {
  storage: Pick<Storage, 'findObject' | 'toLink'>;
  log: Log;
  now: Clock;
}

/** The creator of firmwares that a build pipeline has written into the bucket by itself. */
const pipeline = 's3';

/** An object that can never become a firmware. It is thrown, so that the message ends in the dead-letter queue, where somebody looks at it. */
export class NobodysObject extends Error {
  override readonly name = 'NobodysObject';
}

/** `not_awaited`: the upload was taken back, or replaced by another one, before its file came. */
export type Registration = Outcome | 'registered_before' | 'not_awaited';

type Existing = Firmware & Draft;

/**
 * Registers the object of a firmware: the firmware becomes available, or awaits its authors' signatures, or is rejected with a reason. The key
 * is `firmwares/{hardware_type}/{version}/{filename}`, or that of an announced upload. The first registered object of a version is its firmware
 * for ever: repeated and reordered events, and later objects under the same key, change nothing, except that the same bytes bring back a
 * firmware whose file is lost. Devices that were reported to run the version before it was in the catalogue are linked to it. Relies on no
 * check that S3 may have done.
 *
 * @throws {@link NobodysObject} when the key, its hardware type or the object itself shows that it is no firmware, or not the announced one.
 */
export async function registerFirmware(deps: RegisterFirmwareDeps, object: ObjectVersion): Promise<Registration> {
  const parsed = parseFirmwareKey(object.key);
  if (!parsed) throw new NobodysObject(`The key is not firmwares/{hardware_type}/{version}/{filename}: ${object.key}`);
  const type = await findHardwareType(deps.db, parsed.hardware_type);
  if (!type) throw new NobodysObject(`There is no hardware type ${parsed.hardware_type}`);

  const existing = await findFirmwareByVersion(deps.db, parsed);
  const known = await findKnown(deps, object, parsed, existing);
  if (known) return known;
  if (existing && existing.assembly_id !== null && existing.sha256 === null) {
    throw new NobodysObject(`Version ${existing.version} of ${existing.hardware_type} is being assembled: nobody else may put its file`);
  }

  const file = await readFile(deps.storage, object, type.max_size_bytes);
  if (!file) throw new NobodysObject(`There is no object ${object.key}, version ${object.version_id}`);
  const { facts, content } = file;

  if (existing?.status === 'lost') return bringBack(deps, existing, object, facts);
  const { draft, isRefused } = existing ? { draft: existing, isRefused: undefined } : await insertDraftOf(deps, object.key, parsed, type);
  const isBroken = findFileRefusal(facts, draft, type.max_size_bytes);
  if (isBroken && draft.sha256 !== null && draft.object_key !== object.key) {
    throw new NobodysObject(`Another file is announced for version ${draft.version} of ${draft.hardware_type}. ${isBroken}`);
  }
  const refusal = isRefused ?? isBroken ?? findContentRefusal(content, type.file_kinds);
  const outcome = refusal
    ? (await rejectDraft(deps.db, draft, refusal)) && 'rejected'
    : await becomeAvailable(deps, draft, type, { ...facts, file_link: deps.storage.toLink(object) });
  // The draft was replaced, registered or deleted while the file was read.
  if (!outcome) return registerFirmware(deps, object);
  deps.log.info(`firmware ${outcome}`, { firmware_id: draft.id, version_id: object.version_id });
  return outcome;
}

/** The outcome for an object that need not be read; undefined: it has to be read. */
const findKnown = async (
  deps: RegisterFirmwareDeps,
  { key, version_id }: ObjectVersion,
  { upload_id }: FirmwareKey,
  existing: Existing | undefined,
): Promise<Registration | undefined> => {
  const { log } = deps;
  if (upload_id !== undefined && existing?.object_key !== key) {
    log.info('object of an upload that nobody awaits', { key, version_id });
    return 'not_awaited';
  }
  if (!existing || existing.status === 'awaiting_upload' || existing.status === 'lost') return undefined;
  log.info('object of a registered version', { firmware_id: existing.id, status: existing.status, version_id });
  // A registration that was cut off may have left devices to link.
  if (isRegistered(existing.status)) await linkAllDevices(deps, existing);
  return 'registered_before';
};

/** Brings back a lost firmware, but only with exactly the same bytes: what a link yields must never change. */
const bringBack = async (deps: RegisterFirmwareDeps, { id }: Existing, object: ObjectVersion, facts: Facts): Promise<Registration> => {
  const file = { file_link: deps.storage.toLink(object), object_key: object.key };
  const restored = await restoreFile(deps.db, id, file, facts.sha256);
  if (!restored) return 'registered_before';
  deps.log.info('file of a lost firmware is back', { firmware_id: id, version_id: object.version_id });
  return 'available';
};

/** Inserts a draft for a version that nobody announced; two events at one moment make one draft. A wrong version is rejected with the reason. */
const insertDraftOf = async (
  deps: RegisterFirmwareDeps,
  object_key: string,
  { hardware_type, version }: FirmwareKey,
  type: HardwareType,
): Promise<{ draft: Existing; isRefused: string | undefined }> => {
  const wrong = await findVersionRefusal(deps.db, type, version);
  const created_dt = deps.now();
  const facts = { size_bytes: null, sha256: null, comment: '', created_by: pipeline, created_dt };
  return deps.db.transaction().execute(async (trx) => {
    if (!(await lockHardwareType(trx, hardware_type, 'add'))) throw new NobodysObject(`There is no hardware type ${hardware_type}`);
    const { taken } = await findLookAlikes(trx, { hardware_type, version }, created_dt);
    const row = await insertDraft(trx, { hardware_type, version, object_key, ...facts });
    const draft = row ? { ...row, object_key } : await findFirmwareByVersion(trx, { hardware_type, version });
    if (!draft) throw new Error('A version that could not be inserted because it exists does not exist');
    if (wrong) return { draft, isRefused: `The version ${wrong}` };
    return { draft, isRefused: taken && `The version ${taken.difference} from ${taken.version} (firmware ${taken.firmware_id})` };
  });
};

interface Facts {
  size_bytes: number;
  sha256: string;
  sha1: string;
  md5: string;
}

/**
 * Finds size, hashes and kind of a file by reading its bytes once as a stream. A file that is too large for its type is not read; its size
 * suffices to reject it.
 */
const readFile = async (
  storage: Pick<Storage, 'findObject'>,
  object: ObjectVersion,
  maximumSizeBytes: number,
): Promise<{ facts: Facts; content: FileContent } | undefined> => {
  const found = await storage.findObject(object);
  if (!found) return undefined;
  const hashes = { sha256: createHash('sha256'), sha1: createHash('sha1'), md5: createHash('md5') };
  const inspector = new FileInspector();
  let size_bytes = 0;
  if (found.size_bytes > maximumSizeBytes) {
    size_bytes = found.size_bytes;
    found.discard();
  } else {
    for await (const chunk of found.bytes) {
      size_bytes += chunk.length;
      inspector.see(chunk);
      for (const hash of Object.values(hashes)) hash.update(chunk);
    }
    if (size_bytes !== found.size_bytes) throw new Error(`The object was cut: ${size_bytes} of ${found.size_bytes} bytes came`);
  }
  const sha256 = hashes.sha256.digest('hex');
  if (found.sha256 && found.sha256 !== sha256 && size_bytes <= maximumSizeBytes) {
    throw new Error('The bytes that came are not those that S3 checked');
  }
  const facts = { size_bytes, sha256, sha1: hashes.sha1.digest('hex'), md5: hashes.md5.digest('hex') };
  return { facts, content: inspector.content };
};
