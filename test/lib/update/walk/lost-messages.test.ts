import { beforeEach, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { BackendUnavailable } from '../../../../lib/ports/backend.ts';
import { getExecutions } from '../../../../lib/update/get-update.ts';
import { retryUpdate } from '../../../../lib/update/plan/retry-update.ts';
import { cancelUpdate, changePace, pauseUpdate, resumeUpdate } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { actor, confirmation, startOfTime } from '../../../support/fixtures.ts';
import { createUpdateService, type UpdateService } from '../../../support/update-service.ts';

const { db } = await createTestDatabase();
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

const later = (seconds: number) => addSeconds(startOfTime, seconds);
const purge = () => [service.deps.advances, service.deps.dispatches, service.deps.verifications].map((queue) => queue.take());
/** Does all that is in the queues, and what follows from it, a second apart, until an update has finished. */
const goOn = async (update_id: number, version: string): Promise<void> => {
  for (let step = 0; step < 200; step += 1) {
    const { advances, dispatches } = service.deps;
    for (const message of advances.take()) await service.advance(message);
    for (const message of dispatches.take()) await service.dispatch(message);
    await service.confirmAsked(version);
    if ((await service.find(update_id)).finished_dt) return;
  }
  throw new Error('The update has not finished');
};

describe('an update says when its next step is due', () => {
  it('and that it is late, when it has not come five minutes after that', async () => {
    const { update, message } = await service.given({ rollout: { maximum_per_minute: 60 } });
    expect(update.walk).toEqual({ due_dt: later(1), is_late: false });
    await service.advance(message);
    expect((await service.find(update.id)).walk).toEqual({ due_dt: later(1), is_late: false });
    service.clock.advance(301);
    expect((await service.find(update.id)).walk).toEqual({ due_dt: later(1), is_late: false });
    service.clock.advance(1);
    expect((await service.find(update.id)).walk).toEqual({ due_dt: later(1), is_late: true });
  });

  it('also before its start, and not when it has finished', async () => {
    const scheduled = await service.given({ start_dt: later(7_200).toISOString() });
    await service.advance(scheduled.message);
    expect((await service.find(scheduled.update.id)).walk).toEqual({ due_dt: later(900), is_late: false });
    purge();
    const { update, firmware, message } = await service.given();
    await service.advance(message);
    await goOn(update.id, firmware.version);
    service.clock.advance(86_400);
    expect((await service.find(update.id)).walk).toEqual({ due_dt: null, is_late: false });
  });
});

describe('messages that were purged', () => {
  it.each<[string, (id: number) => Promise<unknown>]>([
    ['resume', (id) => resumeUpdate(service.deps, id, actor)],
    ['another pace', (id) => changePace(service.deps, id, { maximum_per_minute: 600 }, actor)],
    ['the same pace', (id) => changePace(service.deps, id, { maximum_per_minute: 30_000 }, actor)],
    [
      'a retry, which is refused',
      async (id) => {
        const request = { comment: '', idempotency_key: undefined, created_by: 'admin', request_id: 'r' };
        await expect(retryUpdate(service.deps, id, request)).rejects.toMatchObject({ code: 'update.not_ended' });
      },
    ],
  ])('are sent again by %s, chunks too, and the update ends', async (_, control) => {
    const { update, firmware, message } = await service.given({ devices: 150 });
    await service.advance(message);
    expect(purge().map((messages) => messages.length)).toEqual([1, 2, 0]);
    service.clock.advance(10);
    await control(update.id);
    const [again] = service.deps.advances.take();
    await service.advance(again);
    expect(service.deps.dispatches.sent).toHaveLength(2);
    await goOn(update.id, firmware.version);
    expect(await service.find(update.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 150 } });
  });

  it('are sent again by the request with its Idempotency-Key, which answers as it did', async () => {
    const { firmware, external_ids } = await service.given();
    await cancelUpdate(
      service.deps,
      (await db.selectFrom('updates').select('id').orderBy('id', 'desc').executeTakeFirstOrThrow()).id,
      {
        force: true,
        reason: null,
      },
      actor,
    );
    const body = { firmware_id: firmware.id, targets: { external_ids } };
    const first = await service.request(body, { idempotency_key: 'key-1' });
    purge();
    service.clock.advance(604_800);
    expect(await service.find(first.id)).toMatchObject({ walk: { is_late: true } });
    expect(await service.request(body, { idempotency_key: 'key-1' })).toEqual(first);
    expect(await service.find(first.id)).toMatchObject({ walk: { is_late: false } });
    await goOn(first.id, firmware.version);
    expect(await service.find(first.id)).toMatchObject({ status: 'COMPLETED' });
    // Nothing is sent for what has finished.
    purge();
    expect(await service.request(body, { idempotency_key: 'key-1' })).toEqual(first);
    expect(service.deps.advances.sent).toEqual([]);
  });

  it('of look-ups are sent again with them', async () => {
    const { update, message } = await service.givenSent({ devices: 2, timeouts: { in_progress_minutes: 600 } });
    service.clock.advance(60);
    await service.advance(message);
    expect(purge()[2]).toHaveLength(1);
    // The next look-up would be two minutes later.
    service.clock.advance(5);
    await resumeUpdate(service.deps, update.id, actor);
    for (const next of service.deps.advances.take()) await service.advance(next);
    expect(service.deps.verifications.sent).toHaveLength(1);
  });

  it.each<[string, (id: number) => Promise<unknown>]>([
    ['cancel again, which changes nothing', (id) => cancelUpdate(service.deps, id, { force: false, reason: null }, actor)],
    ['resume, which is refused', (id) => expect(resumeUpdate(service.deps, id, actor)).rejects.toMatchObject({ code: 'update.ended' })],
    [
      'pause, which is refused',
      (id) => expect(pauseUpdate(service.deps, id, { reason: null }, actor)).rejects.toMatchObject({ code: 'update.ended' }),
    ],
  ])('of a canceled update whose devices are at work are sent again by %s: it finishes', async (_, control) => {
    const { update, firmware } = await service.givenSent({ devices: 3 });
    await cancelUpdate(service.deps, update.id, { force: false, reason: null }, actor);
    purge();
    await control(update.id);
    await goOn(update.id, firmware.version);
    expect(await service.find(update.id)).toMatchObject({ status: 'CANCELED', counts: { SUCCEEDED: 3 } });
  });

  it('of a call that is under way are not: a chunk is not handed over twice', async () => {
    const { update, message } = await service.given({ devices: 2 });
    await service.advance(message);
    service.deps.advances.take();
    const [chunk] = service.deps.dispatches.take();
    service.deps.backend.during = async () => {
      await resumeUpdate(service.deps, update.id, actor);
      for (const next of service.deps.advances.take()) await service.advance(next);
    };
    await service.dispatch(chunk);
    expect(service.deps.dispatches.sent).toEqual([]);
  });
});

it.each<[string, (id: number) => Promise<unknown>]>([
  [
    'cancel',
    (id) => expect(cancelUpdate(service.deps, id, { force: false, reason: null }, actor)).rejects.toMatchObject({ code: 'update.ended' }),
  ],
  ['pause', (id) => expect(pauseUpdate(service.deps, id, { reason: null }, actor)).rejects.toMatchObject({ code: 'update.ended' })],
  ['resume', (id) => expect(resumeUpdate(service.deps, id, actor)).rejects.toMatchObject({ code: 'update.ended' })],
  [
    'another pace',
    (id) => expect(changePace(service.deps, id, { maximum_per_minute: 60 }, actor)).rejects.toMatchObject({ code: 'update.ended' }),
  ],
])('an aborted update whose messages were purged finishes after %s, which is refused', async (_, control) => {
  const { update, external_ids, firmware, message } = await service.givenSent({
    devices: 3,
    abort: [{ failure_types: ['FAILED'], threshold_percentage: 1, minimum_executions: 1, action: 'ABORT' }],
  });
  await service.confirm(confirmation({ external_id: external_ids[0] ?? '', version: '0.9', status: 'FAILED', occurred_dt: later(1) }));
  service.clock.advance(2);
  await service.advance(message);
  expect(await service.find(update.id)).toMatchObject({ status: 'ABORTED', finished_dt: null });
  purge();
  service.clock.advance(600);
  expect(await service.find(update.id)).toMatchObject({ walk: { is_late: true } });
  await control(update.id);
  await goOn(update.id, firmware.version);
  expect(await service.find(update.id)).toMatchObject({
    ...{ status: 'ABORTED', finished_dt: expect.any(Date), counts: { FAILED: 1, SUCCEEDED: 2 }, walk: { due_dt: null, is_late: false } },
  });
});

it('a purged chunk is sent again by the walk itself after five minutes, and its devices say so meanwhile', async () => {
  const { update, message } = await service.given({ devices: 2 });
  await service.advance(message);
  service.deps.dispatches.take();
  const { items } = await getExecutions(db, { update_id: update.id, limit: 10 }, later(0));
  const handover = { cause: 'HANDOVER', since_dt: startOfTime, until_dt: later(300), place: null };
  expect(items.map(({ status, waits_for }) => ({ status, waits_for }))).toEqual([
    { status: 'QUEUED', waits_for: handover },
    { status: 'QUEUED', waits_for: handover },
  ]);
  const [next] = service.deps.advances.take();
  service.clock.advance(300);
  await service.advance(next);
  expect(service.deps.dispatches.sent).toEqual([{ dispatch_id: (await service.dispatchesOf(update.id))[0]?.id }]);
});

describe('the gate of the backend', () => {
  it('is shown in the update: share, until when and why; resume has the backend tried at once', async () => {
    // A probe waits for calls that are under way: those of the tests before are not.
    await db.updateTable('update_dispatches').set({ answered_dt: startOfTime }).where('answered_dt', 'is', null).execute();
    const { update, message } = await service.given({ devices: 2 });
    expect((await service.find(update.id)).backend_gate).toEqual({ share: 1, failures: 0, closed_until: null, reason: null });
    await service.advance(message);
    service.deps.backend.failure = new BackendUnavailable('backend answered 503', { retryAfterSeconds: 31_536_000 });
    for (const chunk of service.deps.dispatches.take()) await service.dispatch(chunk);
    expect((await service.find(update.id)).backend_gate).toEqual({
      ...{ share: 0.5, failures: 1, closed_until: later(120), reason: 'backend answered 503' },
    });
    service.deps.backend.failure = undefined;
    service.clock.advance(5);
    service.deps.advances.take();
    await resumeUpdate(service.deps, update.id, actor);
    for (const next of service.deps.advances.take()) await service.advance(next);
    for (const chunk of service.deps.dispatches.take()) await service.dispatch(chunk);
    expect((await service.find(update.id)).backend_gate).toMatchObject({ failures: 0, closed_until: null, reason: null });
    expect(await service.find(update.id)).toMatchObject({ counts: { QUEUED: 1, IN_PROGRESS: 1 } });
  });
});
