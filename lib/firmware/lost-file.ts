import { addSeconds, type Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Log } from '../log.ts';
import { count, type Metrics } from '../metrics.ts';
import type { Storage } from '../ports/storage.ts';
import { markLost } from './firmware-queries.ts';

export interface FileCheckDeps {
  db: Db;
  storage: Pick<Storage, 'hasObject' | 'fromLink'>;
  log: Log;
  /** Without it nothing is measured. */
  metrics?: Metrics;
}

interface AvailableFile {
  id: number;
  file_link: string;
}

const reason = 'FILE_LOST: its object version is not in the bucket any more';

/**
 * Whether the file of an available firmware is where its link says. If not, somebody has deleted the object version in S3: the firmware
 * becomes `lost`, so that it is offered to no device and its updates pause, and the alarm is raised.
 *
 * @throws `storage.unavailable`, which says nothing about the file.
 */
export const isFileThere = async ({ db, storage, log, metrics }: FileCheckDeps, { id, file_link }: AvailableFile): Promise<boolean> => {
  if (await storage.hasObject(storage.fromLink(file_link))) return true;
  if (await markLost(db, id, file_link, reason)) {
    log.error('file of a firmware is lost', { firmware_id: id, file_link });
    metrics?.publish({ lost_firmwares: count(1) });
  }
  return false;
};

/** For so long a file that was there counts as still there. */
const rememberedSeconds = 60;

/**
 * {@link isFileThere} for callers that ask very often: it checks a file that was there at most once a minute. If the storage does not answer,
 * the file counts as there, because the storage may work again by the time a device uses its link.
 */
export const createFileCheck = (deps: FileCheckDeps & { now: Clock }): ((file: AvailableFile) => Promise<boolean>) => {
  const goodUntil = new Map<string, Date>();
  return async (file) => {
    const now = deps.now();
    const remembered = goodUntil.get(file.file_link);
    if (remembered && now < remembered) return true;
    const isThere = await isFileThere(deps, file).catch((error: unknown) => {
      if (!(error instanceof DomainError && error.code === 'storage.unavailable')) throw error;
      deps.log.warn('could not look whether a file is there', { firmware_id: file.id, error });
      return true;
    });
    goodUntil.clear();
    if (isThere) goodUntil.set(file.file_link, addSeconds(now, rememberedSeconds));
    return isThere;
  };
};
