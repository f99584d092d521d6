import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { findIdempotentRequest, keepAnswer, keyReused } from '../db/idempotent-requests.ts';
import { DomainError, type FieldError, wrongField } from '../errors.ts';
import { insertDraft } from '../firmware/draft-queries.ts';
import { type Firmware, formatFirmwareKey } from '../firmware/firmware.ts';
import { findFirmwareByVersion, listFirmwaresById } from '../firmware/firmware-queries.ts';
import type { HardwareType } from '../firmware/hardware-type.ts';
import { findHardwareType, lockHardwareType } from '../firmware/hardware-type-queries.ts';
import { findLookAlikes, findVersionRefusal, lookAlikeExists } from '../firmware/new-version.ts';
import { checkRequirements, versionExists } from '../firmware/upload-firmware.ts';
import { hashOf } from '../http/idempotency.ts';
import type { Queue } from '../ports/queue.ts';
import { firstStepDelaySeconds } from '../walk.ts';
import { type Assembly, type AssemblyRequest, packageFilename, toInstall } from './assembly.ts';
import { getRequestedAssembly, insertAssembly, insertParts } from './assembly-queries.ts';
import { maximumFileBytes } from './cpio.ts';
import type { AssembleMessage } from './messages.ts';

export interface RequestAssemblyDeps {
  db: Db;
  assemblies: Queue<AssembleMessage>;
  now: Clock;
}

export interface RequestAssembly extends AssemblyRequest {
  idempotency_key: string | undefined;
  created_by: string;
  request_id: string;
}

/**
 * Begins an assembly: reserves the version of its package in the catalogue, stores its parts, sends its message. A repeated idempotency key
 * gets the first answer again and begins nothing, but the message is sent again: this revives an assembly whose message was lost.
 *
 * @throws `hardware_type.unknown`, `request.invalid` for parts that cannot go together, `firmware.not_available` for parts that are not
 *   available, `firmware.exists` when the version exists, `assembly.idempotency_key_reused` for another body under a known key;
 *   `queue.unavailable`: nothing is stored then.
 */
export async function requestAssembly(deps: RequestAssemblyDeps, input: RequestAssembly): Promise<Assembly> {
  const { idempotency_key, created_by, request_id, ...request } = input;
  const request_hash = hashOf(request);
  const created_dt = deps.now();
  const type = await checkedType(deps.db, request);
  return deps.db.transaction().execute(async (trx) => {
    const { hardware_type, version, comment, requires, minimum_from_version_num, hardware_compatibility, signed } = request;
    const inserted = await insertAssembly(trx, {
      hardware_compatibility,
      signed,
      idempotency_key: idempotency_key ?? null,
      request_hash,
      request_id,
      created_by,
      created_dt,
    });
    let answer: Assembly;
    if (inserted) {
      const { id } = inserted;
      const parts = await checkedParts(trx, request, type);
      await lockHardwareType(trx, hardware_type, 'add');
      const { taken } = await findLookAlikes(trx, request, created_dt);
      if (taken) throw lookAlikeExists(version, taken);
      await checkRequirements(trx, requires);
      const object_key = formatFirmwareKey({ hardware_type, version, filename: packageFilename });
      const draft = { hardware_type, version, object_key, size_bytes: null, sha256: null, requires, minimum_from_version_num };
      if (!(await insertDraft(trx, { ...draft, assembly_id: id, comment, created_by, created_dt }))) {
        const existing = await findFirmwareByVersion(trx, { hardware_type, version });
        if (!existing) throw new Error('A version that could not be inserted because it exists does not exist');
        throw versionExists(existing);
      }
      await insertParts(trx, id, parts);
      answer = await getRequestedAssembly(trx, id);
      if (idempotency_key !== undefined) await keepAnswer(trx, 'assembly', answer);
      const outcome = { after: { firmware_id: answer.firmware_id, ...request } };
      const line = { action: 'request', resource: 'assembly', resource_id: String(id), outcome } as const;
      await writeAuditLine(trx, { subject: created_by, request_id }, line, created_dt);
    } else {
      answer = await answerAgain(trx, created_by, idempotency_key, request_hash);
    }
    // The last act before the commit; lib/update/README.md says why.
    await deps.assemblies.send([{ assembly_id: answer.id, created_dt }], { delaySeconds: firstStepDelaySeconds });
    return answer;
  });
}

const answerAgain = async (trx: Trx, created_by: string, idempotency_key: string | undefined, request_hash: string): Promise<Assembly> => {
  const known = idempotency_key && (await findIdempotentRequest<Assembly>(trx, 'assembly', created_by, idempotency_key));
  if (!known) throw new Error('An assembly that could not be inserted because its key is known is not known');
  if (known.request_hash === request_hash) return known.answer ?? getRequestedAssembly(trx, known.id);
  throw keyReused('assembly', known.id);
};

const checkedType = async (db: Db, { hardware_type, version }: AssemblyRequest): Promise<HardwareType> => {
  const type = await findHardwareType(db, hardware_type);
  if (!type) throw wrongField('hardware_type.unknown', 'hardware_type', `there is no hardware type ${hardware_type}`);
  const refusal = await findVersionRefusal(db, type, version);
  if (refusal) throw wrongField('request.invalid', 'version', refusal);
  return type;
};

const checkedParts = async (db: Db, { hardware_type, parts }: AssemblyRequest, type: HardwareType) => {
  const ids = parts.map(({ firmware_id }) => firmware_id);
  const firmwares = new Map((await listFirmwaresById(db, ids)).map((firmware) => [firmware.id, firmware]));

  const missing = parts.flatMap(({ firmware_id }, i) => atPart(i, whyNotAvailable(firmwares.get(firmware_id))));
  if (missing.length > 0) throw new DomainError('firmware.not_available', 'A part is not available', { errors: missing });

  const resolved = parts.flatMap(({ firmware_id, install }) => {
    const firmware = firmwares.get(firmware_id);
    return firmware ? [{ firmware_id, firmware, install: toInstall(install, firmware.hardware_type) }] : [];
  });
  const wrong = resolved.flatMap((part, i): FieldError[] => {
    const before = resolved.slice(0, i);
    const isTwice = before.some(({ firmware }) => firmware.hardware_type === part.firmware.hardware_type);
    const target = part.install.handler === 'archive' ? null : (part.install.path ?? part.install.device);
    const isOverwritten = target !== null && before.some(({ install }) => [install.path, install.device].includes(target));
    return [
      ...atPart(i, whyNoPart(part.firmware, hardware_type)),
      ...(isTwice ? atPart(i, `is another ${part.firmware.hardware_type}: one for each hardware type`) : []),
      ...(isOverwritten ? atPart(i, `goes to ${target}, as another part does`, 'install') : []),
      ...atPart(i, whyFitsNobody(part.firmware, before)),
    ];
  });
  if (wrong.length > 0) throw new DomainError('request.invalid', 'These parts do not make a package', { errors: wrong });

  const size = resolved.reduce((sum, { firmware }) => sum + (firmware.size_bytes ?? 0), 0);
  if (size > type.max_size_bytes) {
    throw wrongField('request.invalid', 'parts', `have ${size} bytes; ${hardware_type} takes ${type.max_size_bytes} bytes at most`);
  }
  return resolved;
};

const atPart = (position: number, message: string | undefined, field = 'firmware_id'): FieldError[] =>
  message === undefined ? [] : [{ in: 'body', path: `parts.${position}.${field}`, message }];

const whyNotAvailable = (firmware: Firmware | undefined): string | undefined => {
  if (!firmware) return 'is not the id of a firmware';
  const { status, reason } = firmware;
  return status === 'available' ? undefined : `is ${status}${reason ? `: ${reason}` : ''}`;
};

/** The revisions that all of these fit; null: all there are. */
const commonRevisions = (parts: readonly { firmware: Firmware }[]): string[] | null =>
  parts.reduce<string[] | null>((common, { firmware: { revisions } }) => {
    if (!common || !revisions) return common ?? revisions;
    return common.filter((revision) => revisions.includes(revision));
  }, null);

const whyFitsNobody = (firmware: Firmware, before: readonly { firmware: Firmware }[]): string | undefined => {
  const [common, withIt] = [commonRevisions(before), commonRevisions([...before, { firmware }])];
  if (withIt?.length !== 0 || common?.length === 0) return undefined;
  return `fits ${firmware.revisions?.join(', ')}, and the parts before it ${common?.join(', ')}: no device could install the package`;
};

const whyNoPart = ({ hardware_type, size_bytes, assembly_id }: Firmware, ofPackage: string): string | undefined => {
  if (assembly_id !== null) return 'is a package itself';
  if (hardware_type === ofPackage) return `is a ${hardware_type}, as the package is: a device could not tell which of the two it runs`;
  if ((size_bytes ?? 0) > maximumFileBytes) return `has ${size_bytes} bytes; a part of a package has ${maximumFileBytes} at most`;
  return undefined;
};
