import { type AuthorSignature, countOwners } from '../authors/signature.ts';
import { carrySignedParts, listRevokedKids, lockSignatures } from '../authors/signature-queries.ts';
import type { Db, Trx } from '../db/database.ts';
import {
  type AvailableFirmware,
  awaitSignatures,
  type Draft,
  getLastVersionNum,
  listNumberedVersions,
  makeAvailable,
  rejectDraft,
} from '../firmware/draft-queries.ts';
import type { Firmware } from '../firmware/firmware.ts';
import type { HardwareType } from '../firmware/hardware-type.ts';
import { lockCatalogue, lockHardwareType } from '../firmware/hardware-type-queries.ts';
import { ordinalBySemver } from '../firmware/ordinal.ts';
import { type LinkedFirmware, linkDevices } from '../report/report-queries.ts';

/** A firmware whose file is here. */
export type Unregistered = Pick<Firmware, 'hardware_type' | 'version' | 'version_num' | 'assembly_id'> & Draft;

export type Outcome = 'available' | 'awaiting_signature' | 'rejected';

export interface AvailabilityDeps {
  db: Db;
  /** The last act before devices are linked: wakes open updates that may have to take them in. Missing: none is woken. */
  wakeForCandidates?: (trx: Trx) => Promise<void>;
}

/** How many devices one transaction links, in some 0.2 s. Reports about the hardware type wait for so long; they get through between two. */
const linksPerTransaction = 10_000;

/**
 * Makes a firmware available whose file is in the storage, if enough of its authors have signed; otherwise it awaits their signatures. Devices
 * that run the version already are linked to it, in the same transaction unless they are very many. Undefined when it was not this draft any
 * more.
 */
export const becomeAvailable = async (
  deps: AvailabilityDeps,
  draft: Unregistered,
  type: HardwareType,
  facts: AvailableFirmware,
): Promise<Outcome | undefined> => {
  const outcome = await deps.db.transaction().execute(async (trx) => {
    await lockCatalogue(trx, draft.hardware_type);
    // Locked in the same order as by requests: first the hardware type, then its firmwares.
    const locked = await lockHardwareType(trx, type.name, 'add');
    const required = (locked ?? type).author_signatures_required;
    if (!(await isSigned(trx, draft, required))) {
      return (await awaitSignatures(trx, draft, facts)) && ('awaiting_signature' as const);
    }
    const ordinal = await findOrdinal(trx, draft, type);
    if (ordinal === 'none') return (await rejectDraft(trx, draft, noOrdinal)) && ('rejected' as const);
    const row = await makeAvailable(trx, draft, facts, ordinal);
    if (row) await link(trx, deps, draft);
    return row && ('available' as const);
  });
  if (outcome === 'available') await linkAllDevices(deps, draft);
  return outcome;
};

/**
 * Whether enough authors have signed a firmware or, if it is a package, each of its parts. Stores what they signed about the parts.
 */
const isSigned = async (trx: Trx, { id, assembly_id }: Unregistered, required: number): Promise<boolean> => {
  const signatures = await lockSignatures(trx, id);
  const parts = await carrySignedParts(trx, id, assembly_id);
  if (required === 0) return true;
  const revoked = await listRevokedKids(trx, [signatures, ...parts.map((part) => part.author_signatures)].flat());
  const isEnough = (all: readonly AuthorSignature[]) => countOwners(all.filter(({ kid }) => !revoked.includes(kid))) >= required;
  return isEnough(signatures) || (parts.length > 0 && parts.every(({ author_signatures }) => isEnough(author_signatures)));
};

/** The ordinal of a version according to the order of its hardware type; null: the next one. */
const findOrdinal = async (
  trx: Trx,
  { version, version_num }: Unregistered,
  { name, order }: HardwareType,
): Promise<number | null | 'none'> => {
  if (order !== 'semver' || version_num !== null) return null;
  const others = await listNumberedVersions(trx, name);
  return ordinalBySemver(version, others, await getLastVersionNum(trx, name)) ?? 'none';
};

const noOrdinal = 'No version_num is free where its version belongs: correct those of its neighbours, or request it with one';

const link = async (trx: Trx, { wakeForCandidates }: AvailabilityDeps, firmware: LinkedFirmware): Promise<number> => {
  const linked = await linkDevices(trx, firmware, linksPerTransaction);
  if (linked > 0) await wakeForCandidates?.(trx);
  return linked;
};

export const linkAllDevices = async (deps: AvailabilityDeps, firmware: LinkedFirmware): Promise<void> => {
  let linked: number;
  do {
    linked = await deps.db.transaction().execute(async (trx) => {
      await lockCatalogue(trx, firmware.hardware_type);
      return link(trx, deps, firmware);
    });
  } while (linked === linksPerTransaction);
};
