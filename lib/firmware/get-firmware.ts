import * as z from 'zod/mini';
import { DomainError } from '../errors.ts';
import { Download, type DownloadDeps, findStorageState, StorageState, withDownload } from './download.ts';
import { ListedFirmware } from './firmware.ts';
import { findListedFirmware } from './firmware-queries.ts';
import { isFileThere } from './lost-file.ts';

export const FirmwareDownload = z
  .extend(ListedFirmware, { ...Download.shape, storage: StorageState })
  .register(z.globalRegistry, { id: 'FirmwareDownload' });
export type FirmwareDownload = z.infer<typeof FirmwareDownload>;

/**
 * One firmware, with a fresh link to its file if the file is available. The question that finds out whether the storage answers is about this
 * file, so that a lost file is noticed here.
 *
 * @throws `firmware.not_found`
 */
export async function getFirmware(deps: DownloadDeps, id: number): Promise<FirmwareDownload> {
  const firmware = await findListedFirmware(deps.db, id);
  if (!firmware) throw new DomainError('firmware.not_found', `There is no firmware ${id}`);
  const { status, file_link } = firmware;
  if (status !== 'available' || file_link === null)
    return toAnswer(deps, firmware, await findStorageState(deps.log, () => deps.storage.probe()));
  let isThere = true;
  const storage = await findStorageState(deps.log, async () => {
    isThere = await isFileThere(deps, { id, file_link });
  });
  return toAnswer(deps, (isThere ? undefined : await findListedFirmware(deps.db, id)) ?? firmware, storage);
}

const toAnswer = async ({ storage }: DownloadDeps, firmware: ListedFirmware, state: StorageState): Promise<FirmwareDownload> => ({
  ...(await withDownload(storage, state, firmware)),
  storage: state,
});
