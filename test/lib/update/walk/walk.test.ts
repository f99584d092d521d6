import { describe, expect, it } from 'vitest';
import { confirmUpdate } from '../../../../lib/report/confirm-update.ts';
import { getUpdate } from '../../../../lib/update/get-update.ts';
import { AdvanceMessage, type DispatchMessage, type VerifyMessage } from '../../../../lib/update/messages.ts';
import { requestUpdate } from '../../../../lib/update/plan/request-update.ts';
import { dispatchUpdate } from '../../../../lib/update/reach/dispatch-update.ts';
import { advanceUpdate } from '../../../../lib/update/walk/advance-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { confirmation, givenDevices, givenFirmware, silentLog, TestClock, updateRequest } from '../../../support/fixtures.ts';
import { InMemoryBackend } from '../../../support/in-memory-backend.ts';
import { InMemoryQueue } from '../../../support/in-memory-queue.ts';
import { InMemoryStorage } from '../../../support/in-memory-storage.ts';
import { manifestSigner } from '../../../support/manifest-signer.ts';

const { db } = await createTestDatabase();

const setup = () => {
  const clock = new TestClock();
  const { now } = clock;
  const deps = {
    db,
    now,
    log: silentLog,
    verifications: new InMemoryQueue<VerifyMessage>(),
    advances: new InMemoryQueue<AdvanceMessage>(),
    dispatches: new InMemoryQueue<DispatchMessage>(),
    backend: new InMemoryBackend(),
    storage: new InMemoryStorage(now),
    signManifest: manifestSigner(now),
  };
  return { clock, deps };
};

describe('the walk of an update', () => {
  it('goes from request to proof', async () => {
    const { clock, deps } = setup();
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 250);
    const update = await requestUpdate(deps, updateRequest({ firmware_id: firmware.id, canary: null, targets: { external_ids } }));
    expect(update).toMatchObject({ status: 'SCHEDULED', counts: { QUEUED: 250 } });

    const [first] = deps.advances.take();
    await advanceUpdate(deps, AdvanceMessage.parse(first));
    const dispatches = deps.dispatches.take();
    expect(dispatches).toHaveLength(3);
    for (const message of dispatches) await dispatchUpdate(deps, message, 29_000);
    expect(deps.backend.commands).toHaveLength(250);
    expect(await getUpdate(db, update.id, deps.now())).toMatchObject({ status: 'IN_PROGRESS', counts: { IN_PROGRESS: 250 } });

    clock.advance(10);
    const outcomes = await confirmUpdate(
      deps,
      external_ids.map((external_id) => confirmation({ external_id, version: firmware.version, occurred_dt: deps.now() })),
    );
    expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['stored']));
    const [second] = deps.advances.take();
    await advanceUpdate(deps, AdvanceMessage.parse(second));
    expect(await getUpdate(db, update.id, deps.now())).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 250 }, progress: 1 });
    expect(deps.advances.take()).toEqual([]);
  });
});
