import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { SignedLink, Storage } from '../ports/storage.ts';
import type { Firmware } from './firmware.ts';
import { findFirmware } from './firmware-queries.ts';

export interface FirmwareWithDownload extends Firmware {
  download_url: string | null;
  download_expires_dt: Date | null;
}

/**
 * One firmware, with a fresh link to exactly the registered bytes. A withdrawn one is still described, but offered to nobody.
 *
 * @throws `firmware.not_found`
 */
export async function getFirmware(
  deps: { db: Db; storage: Pick<Storage, 'fromLink' | 'signDownload'> },
  id: number,
): Promise<FirmwareWithDownload> {
  const firmware = await findFirmware(deps.db, id);
  if (!firmware) throw new DomainError('firmware.not_found', `There is no firmware ${id}`);
  let link: SignedLink | undefined;
  if (firmware.status === 'available' && firmware.file_link) {
    link = await deps.storage.signDownload(deps.storage.fromLink(firmware.file_link));
  }
  return { ...firmware, download_url: link?.url ?? null, download_expires_dt: link?.expires_dt ?? null };
}
