import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError, wrongField } from '../errors.ts';
import type { SignedRequest, Storage } from '../ports/storage.ts';
import { type Firmware, type FirmwareRequirement, formatFirmwareKey } from './firmware.ts';
import { findFirmwareByVersion, insertDraft } from './firmware-queries.ts';
import { findHardwareType, listUnknownHardwareTypes } from './hardware-type-queries.ts';

export interface UploadFirmwareDeps {
  db: Db;
  storage: Pick<Storage, 'probe' | 'signUpload'>;
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
  created_by: string;
}

export interface UploadAnswer extends Firmware {
  upload: SignedRequest;
}

/**
 * Reserves a version and answers the link for its file. The same request again, while the file is still awaited, gets a fresh link.
 *
 * @throws `hardware_type.unknown`, `request.invalid` for a file too large for its type, `firmware.exists` with the existing id,
 *   `storage.unavailable`: nothing is reserved then, because the link would be worth nothing.
 */
export async function uploadFirmware(deps: UploadFirmwareDeps, input: UploadFirmware): Promise<{ isNew: boolean; answer: UploadAnswer }> {
  const { filename: _filename, ...promised } = input;
  const { hardware_type, size_bytes, sha256 } = input;
  const type = await findHardwareType(deps.db, hardware_type);
  if (!type) throw wrongField('hardware_type.unknown', 'hardware_type', `there is no hardware type ${hardware_type}`);
  if (size_bytes > type.max_size_bytes) {
    throw wrongField('request.invalid', 'size_bytes', `${hardware_type} takes ${type.max_size_bytes} bytes at most`);
  }
  await deps.storage.probe();
  const object_key = formatFirmwareKey(input);
  await checkRequirements(deps.db, input.requires ?? []);
  const created = await insertDraft(deps.db, { ...promised, object_key, created_dt: deps.now() });
  const firmware = created ?? (await findSameDraft(deps.db, input, object_key));
  const upload = await deps.storage.signUpload({ key: object_key, size_bytes, sha256 });
  return { isNew: created !== undefined, answer: { ...firmware, upload } };
}

/** @throws `hardware_type.unknown` naming every requirement that is about none. */
export const checkRequirements = async (db: Db, requires: readonly FirmwareRequirement[]): Promise<void> => {
  const unknown = await listUnknownHardwareTypes(
    db,
    requires.map((r) => r.hardware_type),
  );
  const errors = requires.flatMap(({ hardware_type }, i) =>
    unknown.includes(hardware_type)
      ? [{ in: 'body' as const, path: `requires.${i}.hardware_type`, message: `there is no hardware type ${hardware_type}` }]
      : [],
  );
  if (errors.length > 0) throw new DomainError('hardware_type.unknown', 'A requirement names an unknown hardware type', { errors });
};

const findSameDraft = async (db: Db, { hardware_type, version, size_bytes, sha256 }: UploadFirmware, key: string): Promise<Firmware> => {
  const existing = await findFirmwareByVersion(db, { hardware_type, version });
  if (!existing) throw new Error('A version that could not be inserted because it exists does not exist');
  const { object_key, ...firmware } = existing;
  const isSame = firmware.size_bytes === size_bytes && firmware.sha256 === sha256 && object_key === key;
  if (firmware.status === 'awaiting_upload' && isSame) return firmware;
  throw versionExists(firmware);
};

export const versionExists = ({ id, hardware_type, version, status, assembly_id }: Firmware): DomainError =>
  new DomainError('firmware.exists', `Version ${version} of ${hardware_type} exists already (${status})`, {
    errors: [{ in: 'body', path: 'version', message: 'exists already for this hardware type' }],
    answer: { firmware_id: id, firmware_status: status, ...(assembly_id !== null && { assembly_id }) },
  });
