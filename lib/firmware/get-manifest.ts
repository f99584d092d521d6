import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { findManifestFacts } from './firmware-queries.ts';
import type { SignedManifest, SignManifest } from './manifest.ts';

/**
 * A freshly signed manifest of an available firmware. It permits no downgrade: only an update can permit one.
 *
 * @throws `firmware.not_found`, `firmware.not_available`
 */
export async function getManifest({ db, signManifest }: { db: Db; signManifest: SignManifest }, id: number): Promise<SignedManifest> {
  const found = await findManifestFacts(db, id);
  if (!found) throw new DomainError('firmware.not_found', `There is no firmware ${id}`);
  const { status, facts } = found;
  if (!facts) {
    throw new DomainError('firmware.not_available', `Firmware ${id} is ${status}: there is a manifest only of an available one`, {
      answer: { firmware_status: status },
    });
  }
  return signManifest(facts);
}
