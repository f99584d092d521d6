import { expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { getDeviceUpdates, getExecutions } from '../../../lib/update/get-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenDevices, givenFirmware } from '../../support/fixtures.ts';
import { createUpdateService } from '../../support/update-service.ts';

const { db } = await createTestDatabase();
const service = createUpdateService(db);
const { clock } = service;

/** What a device's execution waits for, asked for by its id. */
const waitOf = async (update_id: number, external_id: string) => {
  const { items } = await getExecutions(db, { update_id, external_id, limit: 10 }, clock.now());
  return items[0]?.waits_for;
};

/** The places of all devices of an update, each asked for alone. */
const places = async (update_id: number, external_ids: readonly string[]) => {
  const found: (number | null | undefined)[] = [];
  for (const external_id of external_ids) found.push((await waitOf(update_id, external_id))?.place);
  return found;
};

const set = (update_id: number, external_id: string, values: Record<string, unknown>) =>
  db
    .updateTable('update_executions as e')
    .set(values)
    .from('devices as d')
    .whereRef('d.id', '=', 'e.device_id')
    .where('d.external_id', '=', external_id)
    .where('e.update_id', '=', update_id)
    .execute();

it('who waits for the pace has a place: the order in which steps take devices', async () => {
  const { update, external_ids, message } = await service.given({ devices: 6, rollout: { maximum_per_minute: 1 } });
  const [first = '', second = '', third = '', , fifth = ''] = external_ids;
  // The first was put off and is due again, the second failed and is put off, the third may be at work, the fifth was put off sooner than the first.
  await set(update.id, first, { next_attempt_dt: addSeconds(clock.now(), -5), reason: 'DEFERRED: in a ride' });
  await set(update.id, second, { next_attempt_dt: addSeconds(clock.now(), 100_000), reason: 'DEFERRED: in a ride' });
  await set(update.id, third, { next_attempt_dt: addSeconds(clock.now(), -1), is_unanswered: true });
  await set(update.id, fifth, { next_attempt_dt: addSeconds(clock.now(), -9), reason: 'DEFERRED: in a ride' });

  expect(await places(update.id, external_ids)).toEqual([5, null, 1, 2, 4, 3]);

  // And so they are asked: each step takes one, a minute apart.
  const asked: (string | undefined)[] = [];
  let step: unknown = message;
  for (let taken = 0; taken < 5; taken += 1) {
    await service.advance(step);
    for (const dispatch of service.deps.dispatches.take()) await service.dispatch(dispatch);
    asked.push(service.deps.backend.calls.splice(0)[0]?.commands[0]?.external_id);
    [step] = service.deps.advances.take();
    clock.advance(61);
  }
  expect(asked).toEqual([2, 3, 5, 4, 0].map((i) => external_ids[i]));
});

it("a device's own list of updates says the place, too, and a page of all executions does not count", async () => {
  const { update, external_ids } = await service.given({ devices: 3 });
  const { items } = await getDeviceUpdates(db, { kind: 'scooter', external_id: external_ids[2] ?? '', limit: 10 }, clock.now());
  expect(items.map(({ waits_for }) => waits_for)).toEqual([{ cause: 'PACE', until_dt: null, since_dt: null, place: 3 }]);

  const page = await getExecutions(db, { update_id: update.id, limit: 10 }, clock.now());
  expect(page.items.map(({ waits_for }) => waits_for?.place)).toEqual([null, null, null]);
});

it('who waits for something else, or has ended, has no place', async () => {
  const { update, external_ids, message } = await service.given({ devices: 2, rollout: { maximum_per_minute: 1 } });
  await service.advance(message);
  for (const dispatch of service.deps.dispatches.take()) await service.dispatch(dispatch);
  expect(await waitOf(update.id, external_ids[0] ?? '')).toMatchObject({ cause: 'DEVICE', place: null });
  expect(await waitOf(update.id, external_ids[1] ?? '')).toMatchObject({ cause: 'PACE', place: 1 });

  await db.updateTable('updates').set({ status: 'PAUSED', paused_dt: clock.now() }).where('id', '=', update.id).execute();
  expect(await waitOf(update.id, external_ids[1] ?? '')).toMatchObject({ cause: 'RESUME', place: null });
});

it('devices that are switched off take no place from those that poll', async () => {
  const firmware = await givenFirmware(db, { hardware_type: 'yandex_iot' });
  const external_ids = await givenDevices(db, 3, { version: null, channel: 'iot' });
  const update = await service.request({ firmware_id: firmware.id, targets: { external_ids } });
  const [, second = '', third = ''] = external_ids;
  await db.updateTable('devices').set({ last_seen_dt: clock.now() }).where('external_id', 'in', [second, third]).execute();

  expect(await places(update.id, external_ids)).toEqual([null, 1, 2]);
});

it('no more than 10,000 are counted before one, however many wait', async () => {
  const firmware = await givenFirmware(db, { hardware_type: 'audio_lock' });
  await givenDevices(db, 10_001);
  const update = await service.request({ firmware_id: firmware.id, targets: { filter: { kind: 'scooter' } } });
  const external_ids = (await service.executions(update.id)).map(({ external_id }) => external_id);
  expect(await places(update.id, [external_ids[9_999] ?? '', external_ids[10_000] ?? ''])).toEqual([10_000, null]);
});
