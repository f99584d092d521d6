import * as z from 'zod/mini';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { SignedLink, Storage } from '../ports/storage.ts';
import { type Firmware, Timestamp } from './firmware.ts';

export const StorageState = z
  .enum(['available', 'unavailable'])
  .check(z.meta({ description: 'Whether files can be had now. While they cannot, every download_url is null' }));
export type StorageState = z.infer<typeof StorageState>;

export const Download = z.object({
  download_url: z.nullable(z.url()).check(z.meta({ description: 'null unless the firmware and its storage are available' })),
  download_expires_dt: z.nullable(Timestamp),
});

export interface DownloadDeps {
  db: Db;
  storage: Pick<Storage, 'probe' | 'hasObject' | 'fromLink' | 'signDownload'>;
  log: Log;
  metrics?: Metrics;
}

/**
 * Finds out whether the storage answers. If it does not, that is no failure: versions can be listed while the storage is down.
 *
 * @param look a question to the storage; when it fails, the storage counts as down.
 */
export const findStorageState = async (log: Log, look: () => Promise<unknown>): Promise<StorageState> => {
  try {
    await look();
    return 'available';
  } catch (error) {
    if (!(error instanceof DomainError && error.code === 'storage.unavailable')) throw error;
    log.warn('storage does not answer', { error });
    return 'unavailable';
  }
};

/** Adds a fresh link to exactly the registered bytes. A withdrawn firmware is still described, but offered to nobody. */
export const withDownload = async <F extends Firmware>(
  storage: DownloadDeps['storage'],
  state: StorageState,
  firmware: F,
): Promise<F & z.infer<typeof Download>> => {
  let link: SignedLink | undefined;
  if (state === 'available' && firmware.status === 'available' && firmware.file_link) {
    link = await storage.signDownload(storage.fromLink(firmware.file_link));
  }
  return { ...firmware, download_url: link?.url ?? null, download_expires_dt: link?.expires_dt ?? null };
};
