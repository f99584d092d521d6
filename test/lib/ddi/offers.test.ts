import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { changePace } from '../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll, linkedIn, type PollingDevice } from '../../support/devices-that-poll.ts';
import { actor, givenDevices, givenFirmware } from '../../support/fixtures.ts';
import { seeds } from '../../support/seeds.ts';
import { createRandom } from '../../support/update-service.ts';

const { db } = await createTestDatabase();
const ddi = createDevicesThatPoll(db);
const { clock } = ddi;

const offered = async (update_id: number) => (await ddi.executions(update_id)).filter((e) => e.dispatch_id !== null && !e.finished_dt);
const deploymentOf = async (device: PollingDevice) => linkedIn(await ddi.poll(device))['deploymentBase'] as number | undefined;
const takeAll = async (devices: readonly PollingDevice[]) => {
  let taken = 0;
  for (const device of devices) {
    const id = await deploymentOf(device);
    if (id !== undefined && (await ddi.execution(id)).sent_dt === null && (await ddi.deployment(device, id)).statusCode === 200) taken += 1;
  }
  return taken;
};

describe('offers', () => {
  it('are made to as many devices as may be in progress; the next one when a device is done', async () => {
    const { cabinets, firmware, update, message } = await ddi.givenUpdate({ devices: 5, rollout: { maximum_in_progress: 2 } });
    let next = await ddi.step(message);
    expect(await offered(update.id)).toHaveLength(2);
    expect(await takeAll(cabinets)).toBe(2);
    clock.advance(60);
    next = await ddi.step(next);
    expect(await offered(update.id)).toHaveLength(2);
    const [first] = await offered(update.id);
    const done = cabinets.find(({ external_id }) => external_id === first?.external_id) as PollingDevice;
    await ddi.configData(done, { cabinet_version: firmware.version });
    await ddi.step(next);
    const open = await offered(update.id);
    expect(open).toHaveLength(2);
    expect(open.some(({ external_id }) => external_id === done.external_id)).toBe(false);
  });

  it('are made to nobody who has not polled lately: a device that is switched off holds no place', async () => {
    const { cabinets, update, message } = await ddi.givenUpdate({ devices: 3, rollout: { maximum_in_progress: 1 } });
    clock.advance(2_000);
    const [, , alive] = cabinets as [PollingDevice, PollingDevice, PollingDevice];
    let next = await ddi.step(message);
    expect(await offered(update.id)).toHaveLength(0);
    await ddi.poll(alive);
    next = await ddi.step(next);
    expect((await offered(update.id)).map(({ external_id }) => external_id)).toEqual([alive.external_id]);
    expect(next).toMatchObject({ update_id: update.id });
  });

  it('that nobody comes for are taken back, and wait behind the others', async () => {
    const { cabinets, update, message } = await ddi.givenUpdate({ devices: 2, rollout: { maximum_in_progress: 1 } });
    const next = await ddi.step(message);
    const [silent] = await offered(update.id);
    const other = cabinets.find(({ external_id }) => external_id !== silent?.external_id) as PollingDevice;
    clock.advance(700);
    await ddi.poll(other);
    const later = await ddi.step(next);
    expect((await offered(update.id)).map(({ id }) => id)).toEqual([silent?.id]);
    clock.advance(61);
    await ddi.step(later);
    expect((await offered(update.id)).map(({ external_id }) => external_id)).toEqual([other.external_id]);
    expect(await ddi.execution(silent?.id ?? 0)).toMatchObject({ status: 'QUEUED', dispatch_id: null });
  });

  it('of another pace that nobody has come for yet are taken back, and made anew at the new one', async () => {
    const { cabinets, update, message } = await ddi.givenUpdate({ devices: 4, rollout: { maximum_per_minute: 600 } });
    const next = await ddi.step(message);
    const [first, ...others] = cabinets as [PollingDevice, ...PollingDevice[]];
    expect(await takeAll([first])).toBe(1);
    await changePace(ddi.deps, update.id, { maximum_per_minute: 2 }, actor);
    expect(await takeAll(others)).toBe(0);
    await ddi.step(next);
    expect(await takeAll(others)).toBe(1);
    expect((await ddi.executions(update.id)).filter(({ sent_dt }) => sent_dt !== null)).toHaveLength(2);
  });

  it('of another pace are taken back also when the clock of the step that made them is ahead of that of the control', async () => {
    const { cabinets, update, message } = await ddi.givenUpdate({ devices: 4, rollout: { maximum_per_minute: 600 } });
    await ddi.step(message);
    const deps = { ...ddi.deps, now: () => addSeconds(clock.now(), -20) };
    await changePace(deps, update.id, { maximum_per_minute: 2 }, actor);
    expect(await offered(update.id)).toEqual([]);
    expect(await takeAll(cabinets)).toBe(0);
    ddi.deps.advances.take();
  });

  it('that were taken are never taken back', async () => {
    const { id, message } = await ddi.givenTaken({ timeouts: { in_progress_minutes: 600 } });
    clock.advance(3_000);
    await ddi.step(message);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', dispatch_id: expect.any(Number) });
  });

  it('end with the deadline for those that wait', async () => {
    const { cabinet, id, message } = await ddi.givenOffered({ timeouts: { queued_minutes: 5 } });
    await ddi.pass(message, 301);
    expect(await ddi.execution(id)).toMatchObject({ status: 'TIMED_OUT', reason: 'QUEUED_TOO_LONG' });
    expect(await deploymentOf(cabinet)).toBeUndefined();
    expect((await ddi.deployment(cabinet, id)).statusCode).toBe(404);
  });

  it('go to the canary first, drawn among devices that are there, and to the rest when it has passed', async () => {
    const { cabinets, firmware, update, message } = await ddi.givenUpdate({ devices: 12, canary: { size: 3, success_percentage: 100 } });
    const next = await ddi.step(message);
    const canary = await offered(update.id);
    expect(canary).toHaveLength(3);
    expect(canary.every(({ is_canary }) => is_canary)).toBe(true);
    const chosen = cabinets.filter(({ external_id }) => canary.some((e) => e.external_id === external_id));
    await takeAll(cabinets);
    clock.advance(61);
    const later = await ddi.step(next);
    expect(await offered(update.id)).toHaveLength(3);
    for (const device of chosen) await ddi.configData(device, { cabinet_version: firmware.version });
    await ddi.step(later);
    expect(await offered(update.id)).toHaveLength(9);
  });

  it('to a canary that stays away go to other devices', async () => {
    const { cabinets, update, message } = await ddi.givenUpdate({ devices: 6, canary: { size: 2 } });
    const next = await ddi.step(message);
    const first = (await offered(update.id)).map(({ external_id }) => external_id);
    clock.advance(761);
    const others = cabinets.filter(({ external_id }) => !first.includes(external_id));
    for (const device of others) await ddi.poll(device);
    clock.advance(310);
    await ddi.step(next);
    const second = (await offered(update.id)).map(({ external_id }) => external_id);
    expect(second).toHaveLength(2);
    expect(second.filter((id) => first.includes(id))).toEqual([]);
  });

  it('are made although scooters-backend is down', async () => {
    const { update, message } = await ddi.givenUpdate({ devices: 3 });
    await db
      .updateTable('backend_gate')
      .set({ failures: 5, share: 0, changed_dt: clock.now(), closed_until: new Date(clock.now().getTime() + 3_600_000) })
      .execute();
    await ddi.step(message);
    await db.updateTable('backend_gate').set({ failures: 0, share: 1, closed_until: null }).execute();
    expect(await offered(update.id)).toHaveLength(3);
  });

  it('stop with the update when too many fail', async () => {
    const { cabinets, idOf, message, update } = await ddi.givenTaken({
      devices: 10,
      abort: { threshold_percentage: 30, minimum_executions: 3 },
      rollout: { maximum_in_progress: 4 },
    });
    for (const device of cabinets) {
      if ((await ddi.execution(idOf(device))).sent_dt) await ddi.feedback(device, idOf(device), 'closed', 'failure');
    }
    await ddi.step(message);
    expect(await ddi.find(update.id)).toMatchObject({ status: 'ABORTED', counts: { FAILED: 4, CANCELED: 6 } });
    for (const device of cabinets) expect(await deploymentOf(device)).toBeUndefined();
  });
});

describe('the pace of devices that poll', () => {
  it.each(seeds(4))('is never exceeded in any minute, however they poll (seed %i)', async (seed) => {
    const random = createRandom(seed);
    const maximum_per_minute = 1 + Math.floor(random.next() * 8);
    const given = await ddi.givenUpdate({ devices: 40, rollout: { maximum_per_minute } });
    let next: unknown = given.message;
    const taken: number[] = [];
    for (let second = 0; second < 600 && next; second += 5) {
      clock.advance(5);
      if (random.chance(0.5)) next = await ddi.step(next);
      // Now and then everybody at once, as after a power cut; else a few.
      const polling = random.chance(0.1) ? given.cabinets : given.cabinets.filter(() => random.chance(0.02));
      for (let n = await takeAll(polling); n > 0; n -= 1) taken.push(second);
    }
    const inMinute = taken.map((from) => taken.filter((t) => t >= from && t < from + 60).length);
    expect(Math.max(...inMinute)).toBeLessThanOrEqual(maximum_per_minute);
    expect(taken.length).toBeGreaterThan(maximum_per_minute * 3);
  });
});

describe('one update of scooters of both kinds', () => {
  it('holds its one pace and its one limit of devices in progress, and leaves nobody behind', async () => {
    await db
      .insertInto('hardware_types')
      .values({
        name: 'display',
        device_kind: 'scooter',
        channel: 'telematics',
        scooter_versions: [1, 2],
        fits_own_iot: true,
        max_size_bytes: 9,
      })
      .execute();
    const own = await ddi.givenPolling(20, { kind: 'scooter' });
    for (const scooter of own) await ddi.poll(scooter);
    const carried = await givenDevices(db, 20, { version: 2 });
    const firmware = await givenFirmware(db, { hardware_type: 'display', version: '5.0' });
    const { id } = await ddi.request({
      firmware_id: firmware.id,
      targets: { external_ids: [...own.map(({ external_id }) => external_id), ...carried] },
      rollout: { maximum_per_minute: 10, maximum_in_progress: 8 },
    });
    let [next]: unknown[] = ddi.deps.advances.take();
    const asked: number[] = [];
    const byKind = { own: 0, carried: 0 };
    for (let second = 0; second < 900 && next; second += 15) {
      next = await ddi.step(next);
      for (const message of ddi.deps.dispatches.take()) await ddi.dispatch(message);
      const commanded = ddi.deps.backend.calls.reduce((n, { commands }) => n + commands.length, 0);
      const taken = await takeAll(own);
      byKind.own += taken;
      byKind.carried += commanded;
      for (let n = commanded + taken; n > 0; n -= 1) asked.push(second);
      const open = (await ddi.executions(id)).filter((e) => e.sent_dt !== null && e.finished_dt === null);
      expect(open.length).toBeLessThanOrEqual(8);
      clock.advance(14);
      await ddi.confirmAsked('5.0');
      for (const scooter of own) {
        const execution = open.find(({ external_id }) => external_id === scooter.external_id);
        if (execution) await ddi.configData(scooter, { display_version: '5.0' });
      }
    }
    const inMinute = asked.map((from) => asked.filter((t) => t >= from && t < from + 60).length);
    expect(Math.max(...inMinute)).toBeLessThanOrEqual(10);
    expect(byKind).toEqual({ own: 20, carried: 20 });
    expect(await ddi.find(id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 40 } });
  });
});
