import { isDeepStrictEqual } from 'node:util';
import type { Actor } from '../audit/actor.ts';
import { writeAuditLine } from '../audit/audit-queries.ts';
import { checkSignatures, mergeSignatures } from '../authors/check-signatures.ts';
import type { AuthorSignature } from '../authors/signature.ts';
import { carrySignedParts, findUsedNumber, listPackagesWith, lockSignatures, storeSignatures } from '../authors/signature-queries.ts';
import type { SignedFile } from '../authors/statement.ts';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Firmware, FirmwareStatus } from '../firmware/firmware.ts';
import { findFirmware, findUnregistered } from '../firmware/firmware-queries.ts';
import { findHardwareType, lockHardwareType } from '../firmware/hardware-type-queries.ts';
import type { Log } from '../log.ts';
import { type AvailabilityDeps, becomeAvailable } from './become-available.ts';

/** The other statuses cannot be signed: a withdrawn firmware is not wanted any more, and a rejected one has no file. */
const signableStatuses: readonly FirmwareStatus[] = ['awaiting_upload', 'awaiting_signature', 'available', 'lost'];

/**
 * Adds what authors have signed about a firmware: a release, or that devices may go back to it for a while. A key's later statement replaces
 * its former one. If the firmware was waiting only for these signatures, it becomes available. Packages that it is a part of carry them from
 * now on, and become available, too, if they were waiting only for them. May be repeated.
 *
 * @throws `firmware.not_found`; `firmware.not_signable` when it is withdrawn or rejected, or its bytes are not known yet; `request.invalid` naming
 *   each statement that cannot be verified, or whose number its author has used for another firmware.
 */
export async function signFirmware(
  deps: AvailabilityDeps & { log: Log; now: Clock },
  id: number,
  statements: readonly string[],
  by: Actor,
): Promise<Firmware> {
  const { db, now } = deps;
  const firmware = await findFirmware(db, id);
  if (!firmware) throw new DomainError('firmware.not_found', `There is no firmware ${id}`);
  const signatures = await checkSignatures(db, statements, signedFileOf(firmware), now());
  await addSignatures(db, firmware, signatures, { by, now: now() });
  await finishIfSigned(deps, id);
  for (const signed of await listPackagesWith(db, id)) {
    await db.transaction().execute(async (trx) => {
      await lockSignatures(trx, signed.id);
      await carrySignedParts(trx, signed.id, signed.assembly_id);
    });
    await finishIfSigned(deps, signed.id);
  }
  return (await findFirmware(db, id)) ?? firmware;
}

const finishIfSigned = async (deps: AvailabilityDeps & { log: Log }, id: number): Promise<void> => {
  const { db, log } = deps;
  const waiting = await findUnregistered(db, id);
  const type = waiting && (await findHardwareType(db, waiting.draft.hardware_type));
  if (!type) return;
  const outcome = await becomeAvailable(deps, waiting.draft, type, waiting.facts);
  log.info('firmware signed', { firmware_id: id, outcome });
};

const signedFileOf = ({ id, status, hardware_type, version, size_bytes, sha256 }: Firmware): SignedFile => {
  if (!signableStatuses.includes(status)) throw new DomainError('firmware.not_signable', `Firmware ${id} is ${status}`);
  if (size_bytes === null || sha256 === null)
    throw new DomainError('firmware.not_signable', `The bytes of firmware ${id} are not known yet`);
  return { hardware_type, version, size_bytes, sha256 };
};

const addSignatures = async (
  db: Db,
  { id, hardware_type, sha256 }: Firmware,
  signatures: readonly AuthorSignature[],
  { by, now }: { by: Actor; now: Date },
): Promise<void> => {
  await db.transaction().execute(async (trx) => {
    // If two authors send requests at one moment, the second sees what the first has stored; so a number that is used twice is found, too.
    await lockHardwareType(trx, hardware_type, 'add');
    const before = await lockSignatures(trx, id);
    if ((await findFirmware(trx, id))?.sha256 !== sha256) {
      throw new DomainError('firmware.not_signable', `Firmware ${id} has been replaced by other bytes meanwhile`);
    }
    await refuseUsedNumbers(trx, id, hardware_type, signatures);
    const after = mergeSignatures(before, signatures);
    if (isDeepStrictEqual(before, after)) return;
    await storeSignatures(trx, id, after);
    const outcome = { signed: signatures.map(({ owner, kind, author_version }) => ({ owner, kind, author_version })) };
    await writeAuditLine(trx, by, { action: 'sign', resource: 'firmware', resource_id: String(id), outcome }, now);
  });
};

const refuseUsedNumbers = async (...[trx, id, hardware_type, signatures]: Parameters<typeof findUsedNumber>): Promise<void> => {
  const used = await findUsedNumber(trx, id, hardware_type, signatures);
  if (!used) return;
  const message = `${used.owner} has used author_version ${used.author_version} for version ${used.version} already`;
  const position = signatures.findIndex(({ owner, author_version }) => owner === used.owner && author_version === used.author_version);
  throw new DomainError('request.invalid', message, { errors: [{ in: 'body', path: `signatures.${position}`, message }] });
};
