import * as z from 'zod/mini';
import { pageOf } from '../http/page.ts';
import { Download, type DownloadDeps, findStorageState, StorageState, withDownload } from './download.ts';
import { ListedFirmware } from './firmware.ts';
import { type FirmwareFilter, listFirmwares as listFilteredFirmwares } from './firmware-queries.ts';
import { ofKnownHardwareType } from './missing-subjects.ts';

/** With links and the state of the storage when they are asked for. */
export const FirmwarePage = z.extend(
  pageOf(z.extend(ListedFirmware, z.partial(Download).shape).register(z.globalRegistry, { id: 'FirmwareListItem' })),
  {
    storage: z.optional(StorageState),
  },
);
export type FirmwarePage = z.infer<typeof FirmwarePage>;

export interface FirmwareQuery extends FirmwareFilter {
  /** Whether links to the files are wanted too. */
  links: boolean;
}

/**
 * A page of firmwares, each with a fresh link to its file when that is asked for and can be had.
 *
 * @throws `request.invalid` when there is no such hardware type.
 */
export async function listFirmwares(deps: DownloadDeps, { links, ...filter }: FirmwareQuery): Promise<FirmwarePage> {
  const page = await ofKnownHardwareType(deps.db, filter.hardware_type, await listFilteredFirmwares(deps.db, filter));
  if (!links) return page;
  const { items, next_cursor } = page;
  const storage = await findStorageState(deps.log, () => deps.storage.probe());
  return { items: await Promise.all(items.map((item) => withDownload(deps.storage, storage, item))), next_cursor, storage };
}
