import { CompiledQuery, sql } from 'kysely';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../../../../lib/db/database.ts';
import { changeDevice } from '../../../../lib/update/change-device.ts';
import { approveUpdate, cancelUpdate, pauseUpdate, rejectUpdate, resumeUpdate } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { createDevicesThatPoll, linkedIn } from '../../../support/devices-that-poll.ts';
import { actor, confirmation, givenDevices, givenFirmware, registeredLongAgo, startOfTime } from '../../../support/fixtures.ts';
import { dispatchAll, endsOf, givenOlder, stepOf } from '../../../support/superseding.ts';
import { createRandom, createUpdateService, type UpdateService } from '../../../support/update-service.ts';

const { db, url, takeStatements } = await createTestDatabase({ maxConnections: 20 });

/** Two devices with the request, and with each step. */
const twoAtOnce = { mostTakenOver: 2 };
const step = (service: UpdateService, id: number) => stepOf(db, service, id, twoAtOnce);
const approver = { subject: 'somebody else', request_id: 'request-2' };

/** Every device that is in an older update, or in the newer one, by how it stands there. */
const standing = async (service: UpdateService, ...ids: number[]) => {
  const ends = await Promise.all(ids.map((id) => endsOf(service, id)));
  return ends.map((executions) => {
    const counts: Record<string, number> = {};
    for (const end of Object.values(executions)) counts[end] = (counts[end] ?? 0) + 1;
    return counts;
  });
};

/** Of these devices, those that a backend was asked to update by an update. */
const askedBy = async (service: UpdateService, update_id: number): Promise<string[]> => {
  const mine = new Set((await service.executions(update_id)).map(({ id }) => id));
  return service.deps.backend.commands.filter(({ execution_id }) => mine.has(execution_id)).map(({ external_id }) => external_id);
};

/** Seven devices, of which the older update has one at work; the newer one has taken over two of the six others. */
const givenHalfway = async (older: Record<string, unknown> = {}, newer: Record<string, unknown> = {}, deps: object = {}) => {
  const { service, old, fix, body, supersede } = await givenOlder(db, 7, { rollout: { maximum_in_progress: 1 }, ...older });
  await service.advance(old.message);
  await dispatchAll(service);
  const [asked] = service.deps.backend.calls.splice(0).flatMap(({ commands }) => commands);
  const update = await supersede(newer, { ...twoAtOnce, ...deps });
  return {
    service,
    old,
    fix,
    body,
    supersede,
    newer: update,
    atWork: asked?.external_id ?? '',
    reason: `CANCELED SUPERSEDED: ${update.id}`,
  };
};

describe('an update that supersedes more devices than a call moves', () => {
  it('answers for all of them, takes them over step by step, each at once out of the one and into the other, and then asks them', async () => {
    const { service, old, newer, atWork, reason } = await givenHalfway();
    expect(newer).toMatchObject({ counts: { QUEUED: 6 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
    for (const moved of [2, 4, 6]) {
      const waiting = moved === 6 ? {} : { QUEUED: 6 - moved };
      expect(await standing(service, old.update.id, newer.id)).toEqual([
        { IN_PROGRESS: 1, [reason]: moved, ...waiting },
        { QUEUED: moved },
      ]);
      expect(await service.find(newer.id)).toMatchObject({ claimed: 7 - moved, status: 'SCHEDULED' });
      await step(service, newer.id);
      await dispatchAll(service);
    }
    const others = old.external_ids.filter((id) => id !== atWork);
    expect((await askedBy(service, newer.id)).sort()).toEqual(others.sort());
    expect(await askedBy(service, old.update.id)).toEqual([]);
    expect(await service.find(newer.id)).toMatchObject({ claimed: 1, counts: { IN_PROGRESS: 6 } });
  });

  it('is not asked for by the older update from the answer on, which goes on with those that are not claimed', async () => {
    const { service, old, body } = await givenOlder(db, 8);
    const claimed = old.external_ids.slice(0, 6);
    await service.request({ ...body, targets: { external_ids: claimed } }, {}, twoAtOnce);
    for (let n = 0; n < 3; n += 1) {
      await step(service, old.update.id);
      await dispatchAll(service);
      service.clock.advance(61);
    }
    expect((await askedBy(service, old.update.id)).sort()).toEqual(old.external_ids.slice(6).sort());
  });

  it('takes at once whatever is on its way to the backend, so that a chunk that comes later asks nobody', async () => {
    const { service, old, supersede } = await givenOlder(db, 6);
    await service.advance(old.message);
    const newer = await supersede({}, twoAtOnce);
    expect(await standing(service, old.update.id, newer.id)).toEqual([{ [`CANCELED SUPERSEDED: ${newer.id}`]: 6 }, { QUEUED: 6 }]);
    await dispatchAll(service);
    expect(service.deps.backend.calls).toEqual([]);
  });

  it('draws its canary from all of them', async () => {
    const { service, old, newer } = await givenHalfway({}, { canary: { size: 4 } });
    for (let n = 0; n < 3; n += 1) {
      expect((await service.executions(newer.id)).filter(({ is_canary }) => is_canary)).toEqual([]);
      await step(service, newer.id);
    }
    const canary = (await service.executions(newer.id)).filter(({ is_canary }) => is_canary);
    expect(canary).toHaveLength(4);
    expect((await service.find(old.update.id)).counts.CANCELED).toBe(6);
  });

  it.each([
    ['waits for its start', { start_dt: '2030-01-01T00:00:00Z' }, {}],
    ['waits for approval', {}, { approvalAbove: 1 }],
  ])('takes them over also while it %s, and asks nobody', async (_, request, deps) => {
    const { service, old, newer, reason } = await givenHalfway({}, request, deps);
    for (let n = 0; n < 4; n += 1) await step(service, newer.id);
    await dispatchAll(service);
    expect(await standing(service, old.update.id, newer.id)).toEqual([{ IN_PROGRESS: 1, [reason]: 6 }, { QUEUED: 6 }]);
    expect(service.deps.backend.commands).toEqual([]);
  });

  it('takes them over also while it is paused, and asks them when it is resumed', async () => {
    const { service, old, newer, reason } = await givenHalfway();
    await pauseUpdate(service.deps, newer.id, { reason: null }, actor);
    for (let n = 0; n < 4; n += 1) await step(service, newer.id);
    await dispatchAll(service);
    expect(service.deps.backend.commands).toEqual([]);
    expect(await standing(service, old.update.id, newer.id)).toEqual([{ IN_PROGRESS: 1, [reason]: 6 }, { QUEUED: 6 }]);
    await resumeUpdate(service.deps, newer.id, actor);
    await step(service, newer.id);
    await dispatchAll(service);
    expect(await askedBy(service, newer.id)).toHaveLength(6);
  });

  it.each([
    ['is canceled', (service: UpdateService, id: number) => cancelUpdate(service.deps, id, { force: false, reason: null }, actor)],
    [
      'is canceled with force',
      (service: UpdateService, id: number) => cancelUpdate(service.deps, id, { force: true, reason: null }, actor),
    ],
    [
      'brings a firmware that is withdrawn',
      async (service: UpdateService, id: number) => {
        const { firmware_id } = await service.find(id);
        await db.updateTable('firmwares').set({ status: 'withdrawn' }).where('id', '=', firmware_id).execute();
      },
    ],
  ])('and then %s does not bring the older one back: what it has claimed ends in both', async (_, stop) => {
    const { service, old, newer, atWork, reason } = await givenHalfway();
    await stop(service, newer.id);
    for (let n = 0; n < 6; n += 1) await step(service, newer.id);
    await step(service, old.update.id);
    await dispatchAll(service);
    expect(service.deps.backend.commands).toEqual([]);
    const [older, mine] = await standing(service, old.update.id, newer.id);
    expect(older).toEqual({ IN_PROGRESS: 1, [reason]: 6 });
    expect(Object.values(mine ?? {}).reduce((sum, n) => sum + n, 0)).toBe(6);
    expect(await service.find(newer.id)).toMatchObject({ counts: { CANCELED: 6 }, claimed: 0, finished_dt: expect.any(Date) });
    // The one at work stays: the older update may try it again.
    await service.confirm(confirmation({ external_id: atWork, version: old.firmware.version, occurred_dt: service.clock.now() }));
    service.clock.advance(1);
    await step(service, old.update.id);
    expect(await service.find(old.update.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 1, CANCELED: 6 } });
  });

  it('and is then rejected ends what it has claimed, too', async () => {
    const { service, old, newer, reason } = await givenHalfway({}, {}, { approvalAbove: 1 });
    await rejectUpdate(service.deps, newer.id, { remark: 'not now' }, approver);
    for (let n = 0; n < 6; n += 1) await step(service, newer.id);
    expect((await standing(service, old.update.id))[0]).toEqual({ IN_PROGRESS: 1, [reason]: 6 });
    expect(await service.find(newer.id)).toMatchObject({ counts: { CANCELED: 6 }, finished_dt: expect.any(Date) });
  });

  it('and is then approved asks all of them', async () => {
    const { service, newer } = await givenHalfway({}, {}, { approvalAbove: 1 });
    await approveUpdate(service.deps, newer.id, { remark: 'go' }, approver);
    for (let n = 0; n < 4; n += 1) await step(service, newer.id);
    await dispatchAll(service);
    expect(await askedBy(service, newer.id)).toHaveLength(6);
  });

  it('leaves with the older update a device that cannot be updated any more, and one that is retired with none', async () => {
    const { service, old, newer, reason } = await givenHalfway();
    const waiting = (await service.executions(old.update.id))
      .filter(({ phase }) => phase === 'waiting')
      .map(({ external_id }) => external_id);
    const [ahead = '', retired = ''] = waiting.slice(2);
    const newest = await givenFirmware(db);
    await service.confirm(confirmation({ external_id: ahead, version: newest.version, occurred_dt: service.clock.now() }));
    await changeDevice({ db, now: service.clock.now }, { kind: 'scooter', external_id: retired }, { retired: true }, actor);
    for (let n = 0; n < 4; n += 1) await step(service, newer.id);
    const older = await endsOf(service, old.update.id);
    expect([older[ahead], older[retired]]).toEqual(['QUEUED', 'REMOVED RETIRED_DEVICE']);
    expect((await standing(service, old.update.id))[0]).toMatchObject({ [reason]: 4 });
    expect((await service.executions(newer.id)).length).toBe(4);
    expect(await service.find(newer.id)).toMatchObject({ claimed: 1 });
  });

  it('wakes an older update that sleeps when it has taken its last device', async () => {
    const { service, old, supersede } = await givenOlder(db, 3, { window: { from: '02:00', until: '03:00' } });
    await service.advance(old.message);
    const newer = await supersede({}, twoAtOnce);
    service.deps.advances.take();
    await step(service, old.update.id);
    service.deps.advances.take();
    expect(await service.find(old.update.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { QUEUED: 1 } });
    await step(service, newer.id);
    const woken = service.deps.advances.take().find(({ update_id }) => update_id === old.update.id);
    await service.advance(woken);
    expect(await service.find(old.update.id)).toMatchObject({ status: 'COMPLETED', counts: { CANCELED: 3 } });
  });

  it('of a continuous update that means a device no more leaves it where it is', async () => {
    await db.insertInto('zones').values({ name: 'harbour', time_zone: 'UTC', created_dt: startOfTime }).execute();
    const service = createUpdateService(db);
    const [firmware, fix] = [await givenFirmware(db), await givenFirmware(db)];
    const external_ids = await givenDevices(db, 4, { zone: 'harbour' });
    const old = await service.request({ firmware_id: firmware.id, targets: { external_ids }, start_dt: '2030-01-01T00:00:00Z' });
    const targets = { filter: { kind: 'scooter', zone: 'harbour' } };
    const newer = await service.request({ firmware_id: fix.id, targets, continuous: true, supersede: true }, {}, twoAtOnce);
    const [left = ''] = external_ids.slice(3);
    await changeDevice({ db, now: service.clock.now }, { kind: 'scooter', external_id: left }, { zone: null }, actor);
    for (let n = 0; n < 3; n += 1) await step(service, newer.id);
    expect((await endsOf(service, old.id))[left]).toBe('QUEUED');
    expect(Object.keys(await endsOf(service, newer.id)).sort()).toEqual(external_ids.slice(0, 3).sort());
    await cancelUpdate(service.deps, newer.id, { force: false, reason: null }, actor);
  });

  it('stops no rule of the older update, which judges only what it has asked', async () => {
    const rule = { failure_types: ['ALL'], threshold_percentage: 1, minimum_executions: 1, action: 'ABORT' };
    const { service, old, newer, atWork } = await givenHalfway({ abort: [rule] });
    for (let n = 0; n < 3; n += 1) {
      await step(service, newer.id);
      await step(service, old.update.id);
    }
    expect(await service.find(old.update.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { CANCELED: 6, IN_PROGRESS: 1 } });
    await service.confirm(confirmation({ external_id: atWork, version: old.firmware.version, occurred_dt: service.clock.now() }));
    await step(service, old.update.id);
    expect(await service.find(old.update.id)).toMatchObject({ status: 'COMPLETED' });
  });
});

describe('a device that is at work in an older update', () => {
  it('is not asked again by it, even if its next try is due there first', async () => {
    const { service, old, newer, atWork } = await givenHalfway({ retry: { number_of_retries: 1 } });
    for (let n = 0; n < 3; n += 1) await step(service, newer.id);
    await service.confirm(confirmation({ external_id: atWork, version: 'x', status: 'FAILED', occurred_dt: service.clock.now() }));
    service.clock.advance(3_600);
    await step(service, old.update.id);
    await dispatchAll(service);
    expect(await askedBy(service, old.update.id)).toEqual([]);
    await step(service, newer.id);
    expect((await endsOf(service, old.update.id))[atWork]).toBe(`CANCELED SUPERSEDED: ${newer.id}`);
    await dispatchAll(service);
    expect(await askedBy(service, newer.id)).toContain(atWork);
  });

  it('is asked again by it as long as the answer to its command is missing', async () => {
    const { service, old, supersede } = await givenOlder(db, 1);
    await service.advance(old.message);
    service.deps.backend.answer = ({ execution_id }) => ({ execution_id, outcome: 'unclear', reason: 'odd' });
    await dispatchAll(service);
    service.deps.backend.answer = ({ execution_id }) => ({ execution_id, outcome: 'accepted' });
    const newer = await supersede();
    expect(newer).toMatchObject({ counts: { QUEUED: 0 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
    service.clock.advance(600);
    await step(service, newer.id);
    await step(service, old.update.id);
    await dispatchAll(service);
    expect(await askedBy(service, old.update.id)).toHaveLength(2);
    expect(await standing(service, old.update.id, newer.id)).toEqual([{ IN_PROGRESS: 1 }, {}]);
  });

  it('waits in the newer one for as long as `queued_minutes` says, from when it was taken over', async () => {
    const { service, old, newer, atWork } = await givenHalfway({}, { timeouts: { queued_minutes: 10 } });
    for (let n = 0; n < 3; n += 1) await step(service, newer.id);
    // Asked and answered: the others are at work.
    await dispatchAll(service);
    for (let minute = 0; minute < 30; minute += 1) {
      service.clock.advance(60);
      await step(service, newer.id);
      await step(service, old.update.id);
    }
    await pauseUpdate(service.deps, newer.id, { reason: null }, actor);
    await service.confirm(confirmation({ external_id: atWork, version: old.firmware.version, occurred_dt: service.clock.now() }));
    await step(service, newer.id);
    const taken = service.clock.now();
    expect((await service.executions(newer.id)).find((e) => e.external_id === atWork)).toMatchObject({
      queued_dt: taken,
      phase: 'waiting',
    });
    await resumeUpdate(service.deps, newer.id, actor);
    await db.updateTable('updates').set({ maximum_per_minute: 1 }).where('id', '=', newer.id).execute();
    await db.updateTable('backend_gate').set({ failures: 1, closed_until: '2030-01-01T00:00:00Z' }).execute();
    service.clock.advance(60 * 9);
    await step(service, newer.id);
    expect((await endsOf(service, newer.id))[atWork]).toBe('QUEUED');
    service.clock.advance(30);
    await step(service, newer.id);
    for (let n = 0; n < 20; n += 1) {
      service.clock.advance(30);
      await step(service, newer.id);
    }
    expect((await endsOf(service, newer.id))[atWork]).toBe('TIMED_OUT QUEUED_TOO_LONG');
    await db.updateTable('backend_gate').set({ failures: 0, closed_until: null }).execute();
  });
});

describe('a device that has come to run the version of the newer one before its turn to be taken over', () => {
  it('has succeeded at once, and no stop rule counts it, since nobody asked it', async () => {
    const rule = { failure_types: ['FAILED'], threshold_percentage: 50, minimum_executions: 2, action: 'PAUSE' };
    const settings = { abort: [rule], canary: null, rollout: { maximum_in_progress: 1 } };
    const { service, newer, fix, atWork } = await givenHalfway({}, settings);
    const fails = (external_id: string, version: string) =>
      service.confirm(confirmation({ external_id, version, status: 'FAILED', occurred_dt: service.clock.now() }));
    await fails(atWork, fix.version);
    for (let n = 0; n < 4; n += 1) await step(service, newer.id);
    expect((await endsOf(service, newer.id))[atWork]).toBe('SUCCEEDED ALREADY_ON_TARGET');

    const failOne = async () => {
      await dispatchAll(service);
      await fails((await askedBy(service, newer.id)).at(-1) ?? '', 'other');
      service.clock.advance(60);
      await step(service, newer.id);
    };
    await failOne();
    expect(await service.find(newer.id)).toMatchObject({ status: 'IN_PROGRESS', progress: 1 / 6, counts: { SUCCEEDED: 1, FAILED: 1 } });
    await failOne();
    expect(await service.find(newer.id)).toMatchObject({ status: 'PAUSED', reason: 'FAILURE_RATE: 2 of 2 devices asked ended as FAILED' });
  });
});

describe('an older update that was stopped', () => {
  it('and one that is canceled while it is being superseded: the newer one gets all of its devices all the same', async () => {
    const { service, old, newer } = await givenHalfway();
    await cancelUpdate(service.deps, old.update.id, { force: true, reason: null }, actor);
    for (let n = 0; n < 5; n += 1) await step(service, newer.id);
    await dispatchAll(service);
    expect(await service.find(old.update.id)).toMatchObject({ status: 'CANCELED', counts: { CANCELED: 7 } });
    expect((await askedBy(service, newer.id)).sort()).toEqual(old.external_ids.toSorted());
  });

  it('and one that is paused is emptied, and ends', async () => {
    const { service, old, newer, atWork } = await givenHalfway();
    await pauseUpdate(service.deps, old.update.id, { reason: null }, actor);
    for (let n = 0; n < 3; n += 1) await step(service, newer.id);
    await service.confirm(confirmation({ external_id: atWork, version: old.firmware.version, occurred_dt: service.clock.now() }));
    await step(service, old.update.id);
    expect(await service.find(old.update.id)).toMatchObject({ status: 'COMPLETED', counts: { CANCELED: 6, SUCCEEDED: 1 } });
  });
});

describe('a third update that supersedes the second', () => {
  it('before that has taken over everything gets all devices, and neither of the others asks one of them', async () => {
    const { service, old, newer, body, atWork } = await givenHalfway();
    const third = await service.request({ ...body, firmware_id: (await givenFirmware(db)).id }, {}, twoAtOnce);
    expect(third).toMatchObject({ counts: { QUEUED: 6 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
    expect((await service.find(newer.id)).claimed).toBe(0);
    for (let n = 0; n < 4; n += 1) {
      for (const { id } of [old.update, newer, third]) await step(service, id);
      await dispatchAll(service);
    }
    const others = old.external_ids.filter((id) => id !== atWork);
    expect([await askedBy(service, old.update.id), await askedBy(service, newer.id)]).toEqual([[], []]);
    expect((await askedBy(service, third.id)).sort()).toEqual(others.sort());
    expect(await standing(service, old.update.id, newer.id)).toEqual([
      { IN_PROGRESS: 1, [`CANCELED SUPERSEDED: ${newer.id}`]: 2, [`CANCELED SUPERSEDED: ${third.id}`]: 4 },
      { [`CANCELED SUPERSEDED: ${third.id}`]: 2 },
    ]);
    expect(await service.find(newer.id)).toMatchObject({ status: 'COMPLETED' });
    // The device at work goes to the youngest as well.
    await service.confirm(confirmation({ external_id: atWork, version: old.firmware.version, occurred_dt: service.clock.now() }));
    for (const { id } of [newer, third]) await step(service, id);
    expect(await endsOf(service, third.id)).toHaveProperty([atWork]);
    expect(await endsOf(service, newer.id)).not.toHaveProperty([atWork]);
  });

  it('leaves to the second what it does not choose itself', async () => {
    const { service, old, newer, body, atWork } = await givenHalfway();
    const others = old.external_ids.filter((id) => id !== atWork);
    const third = await service.request(
      { ...body, firmware_id: (await givenFirmware(db)).id, targets: { external_ids: others.slice(0, 3) } },
      {},
      twoAtOnce,
    );
    for (let n = 0; n < 4; n += 1) for (const { id } of [newer, third]) await step(service, id);
    expect(Object.keys(await endsOf(service, third.id)).sort()).toEqual(others.slice(0, 3).sort());
    const kept = Object.entries(await endsOf(service, newer.id)).filter(([, end]) => end === 'QUEUED');
    expect(kept.map(([id]) => id).sort()).toEqual(others.slice(3).sort());
  });
});

describe('continuous updates and claims', () => {
  it('an older one that takes in a device which a younger one has claimed does not ask it, and loses it again', async () => {
    const service = createUpdateService(db);
    const { external_ids, firmware, update: first } = await service.givenSent();
    const [external_id = ''] = external_ids;
    const [baseline, fix] = [await givenFirmware(db), await givenFirmware(db)];
    const targets = { filter: { kind: 'scooter', external_id_prefix: external_id } };
    const open = await service.request({ firmware_id: baseline.id, targets, continuous: true });
    const newer = await service.request({ firmware_id: fix.id, targets: { external_ids }, supersede: true });
    service.deps.backend.calls.length = 0;
    await service.confirm(confirmation({ external_id, version: firmware.version, occurred_dt: service.clock.now() }));
    service.clock.advance(1);
    for (const { id } of [first, open, open]) await step(service, id);
    await dispatchAll(service);
    expect(await endsOf(service, open.id)).toEqual({ [external_id]: 'QUEUED' });
    expect(service.deps.backend.commands).toEqual([]);
    await step(service, newer.id);
    await dispatchAll(service);
    expect(await endsOf(service, open.id)).toEqual({ [external_id]: `CANCELED SUPERSEDED: ${newer.id}` });
    expect(await askedBy(service, newer.id)).toEqual([external_id]);
  });

  it('one that supersedes takes over at once, takes in later what was at work, and rests only then', async () => {
    const service = createUpdateService(db);
    const { external_ids, firmware } = await service.givenSent({ devices: 2, rollout: { maximum_in_progress: 1 } });
    await sql`UPDATE devices SET tags = '{claimed}' WHERE external_id = ANY (${external_ids})`.execute(db);
    const [asked] = service.deps.backend.calls.splice(0).flatMap(({ commands }) => commands);
    const fix = await givenFirmware(db);
    const targets = { filter: { kind: 'scooter', tags: { all: ['claimed'] } } };
    const open = await service.request({ firmware_id: fix.id, targets, continuous: true, supersede: true });
    const [other = ''] = external_ids.filter((id) => id !== asked?.external_id);
    expect(await endsOf(service, open.id)).toEqual({ [other]: 'QUEUED' });
    await step(service, open.id);
    await dispatchAll(service);
    await service.confirm(confirmation({ external_id: other, version: fix.version, occurred_dt: service.clock.now() }));
    for (let n = 0; n < 10; n += 1) {
      service.clock.advance(30);
      await step(service, open.id);
    }
    expect(await service.find(open.id)).toMatchObject({ rests_dt: null, claimed: 1, walk: { due_dt: expect.any(Date) } });
    await service.confirm(
      confirmation({ external_id: asked?.external_id ?? '', version: firmware.version, occurred_dt: service.clock.now() }),
    );
    await step(service, open.id);
    expect(await endsOf(service, open.id)).toEqual({ [other]: 'SUCCEEDED', [asked?.external_id ?? '']: 'QUEUED' });
    await cancelUpdate(service.deps, open.id, { force: true, reason: null }, actor);
  });
});

describe('devices that poll', () => {
  it('that are claimed get no offer from the older update, and one from the newer', async () => {
    const ddi = createDevicesThatPoll(db);
    const { cabinets, update } = await ddi.givenUpdate({ devices: 3 });
    const fix = await givenFirmware(db, { hardware_type: 'cabinet' });
    const external_ids = cabinets.map(({ external_id }) => external_id);
    const newer = await ddi.request(
      { firmware_id: fix.id, targets: { kind: 'cabinet', external_ids }, supersede: true },
      {},
      { mostTakenOver: 1 },
    );
    await step(ddi, update.id);
    expect((await ddi.executions(update.id)).map(({ phase }) => phase).sort()).toEqual(['ended', 'waiting', 'waiting']);
    for (const cabinet of cabinets) expect(linkedIn(await ddi.poll(cabinet))['deploymentBase']).toBeUndefined();
    for (let n = 0; n < 3; n += 1) await step(ddi, newer.id);
    const mine = new Map((await ddi.executions(newer.id)).map(({ external_id, id }) => [external_id, id]));
    for (const cabinet of cabinets) expect(linkedIn(await ddi.poll(cabinet))['deploymentBase']).toBe(mine.get(cabinet.external_id));
  });
});

describe('races while devices are being taken over', () => {
  it('steps of both updates, chunks, reports and a third request at one moment: nobody is asked by an older one after the answer', async () => {
    const random = createRandom(17);
    for (let round = 0; round < 15; round += 1) {
      const { service, old, body, supersede } = await givenOlder(db, 8, { rollout: { maximum_in_progress: 1 + (round % 4) } });
      await service.advance(old.message);
      const chunks = service.deps.dispatches.take();
      const [answer] = await Promise.allSettled([
        supersede({}, twoAtOnce),
        ...chunks.map((chunk) => service.dispatch(chunk)),
        step(service, old.update.id),
      ]);
      if (answer?.status !== 'fulfilled') throw new Error('the request was refused', { cause: answer?.reason });
      const newer = answer.value;
      const before = new Set(await askedBy(service, old.update.id));
      const third = round % 3 === 0 ? { ...body, firmware_id: (await givenFirmware(db)).id } : undefined;
      const ids = [old.update.id, newer.id];
      for (let n = 0; n < 8; n += 1) {
        const some = random.pick(old.external_ids);
        const works = [
          ...ids.map((id) => () => step(service, id)),
          ...service.deps.dispatches.take().map((chunk) => () => service.dispatch(chunk)),
          () => service.confirm(confirmation({ external_id: some, version: 'x', status: 'IN_PROGRESS', occurred_dt: service.clock.now() })),
          ...(third && n === 1 ? [async () => void ids.push((await service.request(third, {}, twoAtOnce)).id)] : []),
        ];
        await Promise.all(random.shuffled(works).map((work) => work()));
        const { rows } = await sql<{ unfinished: number }>`
          SELECT count(*) AS unfinished FROM update_executions e JOIN devices d ON d.id = e.device_id
          WHERE d.external_id = ANY (${old.external_ids}) AND e.status IN ('QUEUED', 'IN_PROGRESS')`.execute(db);
        // Each device is in one of them at every moment.
        expect(rows[0]?.unfinished).toBe(8);
      }
      expect(new Set(await askedBy(service, old.update.id))).toEqual(before);
      for (const [external_id, end] of Object.entries(await endsOf(service, old.update.id))) {
        expect([external_id, end.startsWith('CANCELED SUPERSEDED')]).toEqual([external_id, !before.has(external_id)]);
      }
      const youngest = Object.values(await endsOf(service, ids.at(-1) ?? 0)).length;
      const second = third ? new Set(await askedBy(service, newer.id)).size : 0;
      expect(youngest + before.size + second).toBe(8);
    }
  });
});

describe('what it costs', () => {
  it('an update that nothing supersedes looks at no claim, and its steps need no statement for them', async () => {
    const { service, old } = await givenOlder(db, 3);
    await sql`UPDATE updates SET superseded_by_update_id = NULL`.execute(db);
    takeStatements();
    await service.advance(old.message);
    await dispatchAll(service);
    const about = takeStatements().filter((statement) => statement.includes('update_claims'));
    // Whether there are any is one of the columns that are read with the lock of the update.
    expect(about.every((statement) => /for update/i.test(statement))).toBe(true);
    expect(about).toHaveLength(1);
  });

  it('a step that takes over needs eight statements, whatever it takes', async () => {
    const { service, newer } = await givenHalfway();
    const { next_step, created_dt } = await db.selectFrom('updates').selectAll().where('id', '=', newer.id).executeTakeFirstOrThrow();
    takeStatements();
    await service.advance({ update_id: newer.id, step: next_step, created_dt }, twoAtOnce);
    expect(takeStatements().filter((statement) => !/^(begin|commit)/i.test(statement))).toHaveLength(8);
  });
});

describe('of 12,500 devices', () => {
  const devices = 12_500;
  const targets = { filter: { kind: 'scooter', external_id_prefix: 'many-' } };
  const service = createUpdateService(db);
  const request = async (more: object = {}, instead: object = {}) =>
    service.request({ firmware_id: (await givenFirmware(db)).id, targets, ...more }, {}, instead);

  beforeAll(async () => {
    await sql`
      INSERT INTO devices (kind, external_id, version, channel, zone, created_dt)
      SELECT 'scooter', 'many-' || n, 1, 'telematics', NULL, ${registeredLongAgo} FROM generate_series(1, ${devices}::integer) n`.execute(
      db,
    );
  });

  it('an update takes over 10,000 with the request and the others with a step, also from one that was just canceled', async () => {
    const old = await request();
    const newer = await request({ supersede: true });
    expect(newer).toMatchObject({ counts: { QUEUED: devices } });
    expect((await service.find(old.id)).counts).toMatchObject({ CANCELED: 10_000, QUEUED: 2_500 });
    expect(await service.find(newer.id)).toMatchObject({ counts: { QUEUED: 10_000 }, claimed: 2_500 });
    await stepOf(db, service, newer.id);
    expect((await service.find(old.id)).counts).toMatchObject({ CANCELED: devices, QUEUED: 0 });
    expect(await service.find(newer.id)).toMatchObject({ claimed: 0 });

    expect(await cancelUpdate(service.deps, newer.id, { force: true, reason: null }, actor)).toMatchObject({ canceled: 2_000 });
    const third = await request({ supersede: true });
    expect(third).toMatchObject({ counts: { QUEUED: devices } });
    for (let n = 0; n < 2; n += 1) for (const { id } of [newer, third]) await stepOf(db, service, id);
    expect(await service.find(newer.id)).toMatchObject({
      status: 'CANCELED',
      counts: { CANCELED: devices },
      finished_dt: expect.any(Date),
    });
    const { counts, claimed } = await service.find(third.id);
    expect({ claimed, sum: counts.QUEUED + counts.IN_PROGRESS }).toEqual({ claimed: 0, sum: devices });
  });

  it('and of 80 times as many, neither what takes devices over nor what an older update releases is found by reading all', async () => {
    const old = await request({ supersede: true });
    const newer = await request({ supersede: true }, { mostTakenOver: 1_000 });
    const tables = ['devices', 'update_executions', 'update_claims'];
    await sql`VACUUM ANALYZE`.execute(db);
    // The planner goes by statistics: a million, in files that look cheaper to read from end to end than those of a million are.
    await sql`
      UPDATE pg_class SET reltuples = reltuples * 80
      WHERE oid = ANY (${tables}::regclass[]) OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ANY (${tables}::regclass[]))`.execute(
      db,
    );
    const sent: { statement: string; parameters: readonly unknown[] }[] = [];
    const recording = createDatabase({
      url,
      maxConnections: 1,
      onStatement: (statement, parameters) => sent.push({ statement, parameters }),
    });
    await stepOf(db, service, old.id, { db: recording });
    await stepOf(db, service, newer.id, { db: recording, mostTakenOver: 1_000 });
    const planned = sent.splice(0).filter(({ statement }) => /on_its_way|INSERT INTO update_dispatches/.test(statement));
    expect(planned).toHaveLength(2);
    for (const { statement, parameters } of planned) {
      const { rows } = await recording.executeQuery<{ 'QUERY PLAN': string }>(CompiledQuery.raw(`EXPLAIN ${statement}`, [...parameters]));
      const read = rows.map((row) => row['QUERY PLAN']).filter((line) => /Seq Scan on (devices|update_executions)\b/.test(line));
      expect({ statement, read }).toEqual({ statement, read: [] });
    }
    await recording.destroy();
  });
});
