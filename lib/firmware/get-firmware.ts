import * as z from 'zod/mini';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { Download, type DownloadDeps, findStorageState, StorageState, withDownload } from './download.ts';
import { ListedFirmware } from './firmware.ts';
import { findListedFirmware } from './firmware-queries.ts';

export const FirmwareDownload = z
  .extend(ListedFirmware, { ...Download.shape, storage: StorageState })
  .register(z.globalRegistry, { id: 'FirmwareDownload' });
export type FirmwareDownload = z.infer<typeof FirmwareDownload>;

/**
 * One firmware, with a fresh link to its file while that can be had.
 *
 * @throws `firmware.not_found`
 */
export async function getFirmware(deps: { db: Db } & DownloadDeps, id: number): Promise<FirmwareDownload> {
  const [firmware, storage] = await Promise.all([findListedFirmware(deps.db, id), findStorageState(deps)]);
  if (!firmware) throw new DomainError('firmware.not_found', `There is no firmware ${id}`);
  return { ...(await withDownload(deps.storage, storage, firmware)), storage };
}
