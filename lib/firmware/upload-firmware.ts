import { randomUUID } from 'node:crypto';
import { writeAuditLine } from '../audit/audit-queries.ts';
import { addSeconds, type Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { violatedConstraint } from '../db/database-error.ts';
import { DomainError, wrongField } from '../errors.ts';
import type { Queue } from '../ports/queue.ts';
import { type SignedRequest, type Storage, uploadSeconds } from '../ports/storage.ts';
import { extendUpload, insertDraft, type NewFirmware, replaceDraft, reserveVersionNum } from './draft-queries.ts';
import { type Firmware, type FirmwareRequirement, formatFirmwareKey, parseFirmwareKey } from './firmware.ts';
import { findFirmwareByVersion } from './firmware-queries.ts';
import { findHardwareType, listUnknownHardwareTypes, lockHardwareType } from './hardware-type-queries.ts';
import { findLookAlikes, findVersionRefusal, type LookAlike, lookAlikeExists } from './new-version.ts';
import { toObjectCreated } from './object-created.ts';

export interface UploadFirmwareDeps {
  db: Db;
  storage: Pick<Storage, 'probe' | 'findLatest' | 'signUpload'>;
  /** The queue to which S3 sends its events about new objects. */
  registrations: Queue<object>;
  now: Clock;
}

export interface UploadFirmware {
  hardware_type: string;
  version: string;
  filename: string;
  comment: string;
  size_bytes: number;
  sha256: string;
  requires?: readonly FirmwareRequirement[];
  minimum_from_version_num?: number | null;
  version_num?: number | null;
  /** null: nothing is said about them. */
  revisions?: readonly string[] | null;
  created_by: string;
  request_id: string;
}

export interface UploadAnswer extends Firmware {
  /** null: the file is in the storage already, and is registered or about to be. */
  upload: SignedRequest | null;
  look_alikes: LookAlike[];
}

type Existing = NonNullable<Awaited<ReturnType<typeof findFirmwareByVersion>>>;

/**
 * Reserves a version and answers the link for its file. The same request again, while the file is awaited, gets a fresh link; another one
 * replaces the promise, and nothing can come in by the link of the former one. After success a request for the same bytes is answered
 * with the firmware, whatever comment and file name it has: both stay as they are. For a firmware whose file is lost, the same bytes get
 * a link. A file that is there, but not registered, is registered by it.
 *
 * @throws `hardware_type.unknown`, `request.invalid` for a file or a version that its type does not take, `firmware.exists` and
 *   `firmware.look_alike` with the existing id, `firmware.version_num_taken`, `queue.unavailable`, `storage.unavailable`: nothing is reserved then, because the
 *   link would be worth nothing.
 */
export async function uploadFirmware(deps: UploadFirmwareDeps, input: UploadFirmware): Promise<{ isNew: boolean; answer: UploadAnswer }> {
  const { db } = deps;
  await checkType(db, input);
  const existing = await findFirmwareByVersion(db, input);
  if (existing && (isDone(existing, input) || (await isUploaded(deps, existing, input)))) {
    return { isNew: false, answer: { ...withoutKey(existing), upload: null, look_alikes: [] } };
  }
  await deps.storage.probe();
  const { isNew, object_key, firmware, look_alikes } = await db
    .transaction()
    .execute((trx) => promise(trx, input, deps.now()))
    .catch((error: unknown) => {
      throw violatedConstraint(error) === 'firmwares_hardware_type_version_num_key' ? versionNumTaken(input) : error;
    });
  const { size_bytes, sha256 } = input;
  const upload = await deps.storage.signUpload({ key: object_key, size_bytes, sha256 });
  return { isNew, answer: { ...firmware, upload, look_alikes } };
}

const checkType = async (db: Db, { hardware_type, version, size_bytes }: UploadFirmware): Promise<void> => {
  const type = await findHardwareType(db, hardware_type);
  if (!type) throw unknownType(hardware_type);
  if (size_bytes > type.max_size_bytes) {
    throw wrongField('request.invalid', 'size_bytes', `${hardware_type} takes ${type.max_size_bytes} bytes at most`);
  }
  const refusal = await findVersionRefusal(db, type, version);
  if (refusal) throw wrongField('request.invalid', 'version', refusal);
};

/** Reserves the version under a lock, so that of two requests at one moment the second one sees what the first one has reserved. */
const promise = async (trx: Trx, input: UploadFirmware, now: Date) => {
  const { hardware_type, version, filename } = input;
  if (!(await lockHardwareType(trx, hardware_type, 'add'))) throw unknownType(hardware_type);
  const { taken, others: look_alikes } = await findLookAlikes(trx, input, now);
  const existing = await findFirmwareByVersion(trx, input);
  if (existing && !isReplaceable(existing, input)) throw versionExists(existing);
  const upload_expires_dt = addSeconds(now, uploadSeconds);
  const isPromised = existing?.status === 'awaiting_upload' && keepsPromise(existing, input);
  const object_key = isPromised ? existing.object_key : formatFirmwareKey({ hardware_type, version, filename, upload_id: randomUUID() });
  const firmware =
    existing && (isPromised || existing.status === 'lost')
      ? await extendUpload(trx, existing.id, { upload_expires_dt, object_key })
      : await storePromise(trx, existing, taken, { input, object_key, upload_expires_dt, now });
  // The version was inserted without the lock: by the previous release, which runs beside this one during a deploy.
  if (!firmware) throw new DomainError('firmware.exists', `Version ${version} of ${hardware_type} has just been added`);
  const action = existing ? (isPromised || existing.status === 'lost' ? 'renew_upload' : 'replace') : 'add';
  const outcome = { ...(existing && { before: promisedOf(withoutKey(existing)) }), after: promisedOf(firmware) };
  const actor = { subject: input.created_by, request_id: input.request_id };
  await writeAuditLine(trx, actor, { action, resource: 'firmware', resource_id: String(firmware.id), outcome }, now);
  return { isNew: !existing, object_key, firmware, look_alikes };
};

const promisedOf = ({ hardware_type, version, version_num, revisions, size_bytes, sha256, comment }: Firmware) => ({
  ...{ hardware_type, version, version_num, revisions, size_bytes, sha256, comment },
});

interface NewPromise {
  input: UploadFirmware;
  object_key: string;
  upload_expires_dt: Date;
  now: Date;
}

const storePromise = async (
  trx: Trx,
  existing: Existing | undefined,
  taken: LookAlike | undefined,
  { input, object_key, upload_expires_dt, now }: NewPromise,
): Promise<Firmware | undefined> => {
  const { filename: _filename, request_id: _id, version_num = null, ...promised } = input;
  if (taken) throw lookAlikeExists(input.version, taken);
  await checkRequirements(trx, input.requires ?? []);
  if (version_num !== null) await reserveVersionNum(trx, input.hardware_type, version_num, now);
  const draft: NewFirmware = { ...promised, version_num, object_key, upload_expires_dt, created_dt: now };
  return existing ? replaceDraft(trx, existing.id, draft) : insertDraft(trx, draft);
};

/** Whether the file is in the storage already and is the requested one. Its name may differ: a pipeline that runs again may choose another. */
const isDone = (existing: Existing, input: UploadFirmware): boolean =>
  (existing.status === 'available' || existing.status === 'awaiting_signature') && agreesWith(existing, input);

/**
 * Whether the announced file is in the bucket but not registered yet. Then S3's message about it is on its way or lost, so it is sent again.
 * If both arrive, the second finds the firmware registered.
 */
const isUploaded = async ({ storage, registrations }: UploadFirmwareDeps, existing: Existing, input: UploadFirmware): Promise<boolean> => {
  const isAwaited = existing.status === 'awaiting_upload' ? keepsPromise(existing, input) : isReplaceable(existing, input);
  // Only the key of an announced upload is certain to hold the announced bytes.
  if (!isAwaited || existing.status === 'rejected' || parseFirmwareKey(existing.object_key)?.upload_id === undefined) return false;
  const object = await storage.findLatest(existing.object_key);
  if (object) await registrations.send([toObjectCreated(object)]);
  return object !== undefined;
};

/** Whether the reservation may be replaced: no device has ever had its file, or the same file is uploaded again. */
const isReplaceable = (existing: Existing, input: UploadFirmware): boolean => {
  if (existing.status === 'lost') return isSameFile(existing, input);
  return (existing.status === 'awaiting_upload' || existing.status === 'rejected') && existing.assembly_id === null;
};

const isSameFile = ({ size_bytes, sha256 }: Firmware, input: UploadFirmware): boolean =>
  size_bytes === input.size_bytes && sha256 === input.sha256;

/** Whether a request asks for exactly what is reserved already. The file name counts, because it is part of the key in S3. */
const keepsPromise = (existing: Existing, input: UploadFirmware): boolean =>
  agreesWith(existing, input) && parseFirmwareKey(existing.object_key)?.filename === input.filename;

/**
 * Whether bytes, requirements, ordinal and revisions are the same; the latter two as far as the request says them. The comment may differ: it
 * can be changed at any time.
 */
const agreesWith = (existing: Existing, input: UploadFirmware): boolean =>
  isSameFile(existing, input) &&
  existing.minimum_from_version_num === (input.minimum_from_version_num ?? null) &&
  (input.version_num == null || existing.version_num === input.version_num) &&
  (input.revisions == null || isSameSet(existing.revisions ?? [], input.revisions)) &&
  isSameSet(textsOf(existing.requires), textsOf(input.requires ?? []));

const textsOf = (requires: readonly FirmwareRequirement[]): string[] =>
  requires.map(({ hardware_type, minimum_version_num }) => `${hardware_type} ${minimum_version_num}`);

const isSameSet = (some: readonly string[], others: readonly string[]): boolean =>
  JSON.stringify(some.toSorted()) === JSON.stringify(others.toSorted());

const withoutKey = ({ object_key: _key, ...firmware }: Existing): Firmware => firmware;

/** @throws `hardware_type.unknown` naming every requirement whose hardware type does not exist. */
export const checkRequirements = async (trx: Trx, requires: readonly FirmwareRequirement[]): Promise<void> => {
  const unknown = await listUnknownHardwareTypes(
    trx,
    requires.map((r) => r.hardware_type),
  );
  const errors = requires.flatMap(({ hardware_type }, i) =>
    unknown.includes(hardware_type)
      ? [{ in: 'body' as const, path: `requires.${i}.hardware_type`, message: `there is no hardware type ${hardware_type}` }]
      : [],
  );
  if (errors.length > 0) throw new DomainError('hardware_type.unknown', 'A requirement names an unknown hardware type', { errors });
};

const unknownType = (hardware_type: string): DomainError =>
  wrongField('hardware_type.unknown', 'hardware_type', `there is no hardware type ${hardware_type}`);

export const versionExists = ({ id, hardware_type, version, status, assembly_id }: Firmware): DomainError =>
  new DomainError('firmware.exists', `Version ${version} of ${hardware_type} exists already (${status})`, {
    errors: [{ in: 'body', path: 'version', message: 'exists already for this hardware type' }],
    answer: { firmware_id: id, firmware_status: status, ...(assembly_id !== null && { assembly_id }) },
  });

export const versionNumTaken = ({ hardware_type, version_num }: { hardware_type: string; version_num?: number | null }): DomainError =>
  new DomainError('firmware.version_num_taken', `Another firmware of ${hardware_type} has the version_num ${version_num}`, {
    errors: [{ in: 'body', path: 'version_num', message: 'is that of another firmware' }],
  });
