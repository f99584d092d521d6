import type { Db } from '../../lib/db/database.ts';
import type { UploadAnswer } from '../../lib/firmware/upload-firmware.ts';
import type { SignedRequest } from '../../lib/ports/storage.ts';
import { silentLog, TestClock } from './fixtures.ts';
import { InMemoryQueue } from './in-memory-queue.ts';
import { InMemoryStorage } from './in-memory-storage.ts';

/** What the catalogue's use cases need, with an empty bucket and an empty queue. */
export const catalogueDeps = (db: Db) => {
  const clock = new TestClock();
  const registrations = new InMemoryQueue<object>();
  return { db, now: clock.now, clock, log: silentLog, storage: new InMemoryStorage(clock.now), registrations };
};

/** Everything stored about firmwares, oldest first. */
export const storedFirmwares = (db: Db) => db.selectFrom('firmwares').selectAll().orderBy('id').execute();

export const emptyCatalogue = async (db: Db): Promise<void> => {
  await db.deleteFrom('firmwares').execute();
  await db.updateTable('hardware_types').set({ last_version_num: 0 }).execute();
};

export const firmwareBytes = Buffer.from('firmware 1.4.2');
/** Of `firmwareBytes`, by sha256sum, sha1sum and md5sum. */
export const firmwareHashes = {
  sha256: '0a9353911e1abeeada18861206110183e892fde2aa913bf07c2faa1b53ce3cad',
  sha1: '33608ce3e90da2f514d2d540ecaafb907d0e4562',
  md5: 'c63f84efea978cbabe6deb5f0837bb0b',
};

/** The key of the announced upload of a version. */
export const promisedKey = async (db: Db, version: string): Promise<string> =>
  (await db.selectFrom('firmwares').select('object_key').where('version', '=', version).executeTakeFirstOrThrow()).object_key;

/** Where the file of a firmware is to be sent. */
export const linkOf = ({ upload }: Pick<UploadAnswer, 'upload'>): SignedRequest => {
  if (!upload) throw new Error('No file is awaited');
  return upload;
};
