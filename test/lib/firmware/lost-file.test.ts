import { beforeEach, expect, it } from 'vitest';
import { createFileCheck } from '../../../lib/firmware/lost-file.ts';
import { dispatchUpdate } from '../../../lib/update/reach/dispatch-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { silentLog } from '../../support/fixtures.ts';
import { createUpdateService, type UpdateService } from '../../support/update-service.ts';

const { db } = await createTestDatabase();
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

it('a file that is gone from the bucket: no device is asked, the firmware is lost, and its update pauses with that reason', async () => {
  const { message, update } = await service.given({ devices: 2 });
  await service.advance(message);
  const [chunk] = service.deps.dispatches.take();
  if (!chunk) throw new Error('no chunk was released');
  const deps = { ...service.deps, isFileThere: createFileCheck({ ...service.deps, log: silentLog }) };
  await dispatchUpdate(deps, chunk, 29_000);
  expect(service.deps.backend.calls).toEqual([]);
  const { id } = await db.selectFrom('updates').select('firmware_id as id').where('id', '=', update.id).executeTakeFirstOrThrow();
  const firmware = await db.selectFrom('firmwares').select(['status', 'reason']).where('id', '=', id).executeTakeFirstOrThrow();
  expect(firmware).toEqual({ status: 'lost', reason: 'FILE_LOST: its object version is not in the bucket any more' });
  const [next] = service.deps.advances.take();
  if (!next) throw new Error('the walk has ended');
  await service.advance(next);
  expect(await service.find(update.id)).toMatchObject({ status: 'PAUSED', reason: 'FIRMWARE_LOST', counts: { QUEUED: 2 } });
});

it('a file that was there is looked for once a minute; a storage that does not answer counts as one that has it', async () => {
  const { clock, deps } = service;
  const { storage } = deps;
  const file = { id: 1, file_link: storage.toLink(storage.put('firmwares/x', Buffer.from('x'))) };
  const isFileThere = createFileCheck({ ...deps, log: silentLog });
  for (let n = 0; n < 5; n += 1) expect(await isFileThere(file)).toBe(true);
  expect(storage.probes).toBe(1);
  clock.advance(61);
  storage.isDown = true;
  expect(await isFileThere(file)).toBe(true);
  expect(storage.probes).toBe(2);
});
