import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import type { EventBus } from '../../../../lib/ports/event-bus.ts';
import { confirmUpdate } from '../../../../lib/report/confirm-update.ts';
import { cancelUpdate, pauseUpdate, resumeUpdate } from '../../../../lib/update/walk/control-update.ts';
import { type Told, tellEvents } from '../../../../lib/update/walk/tell-events.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { actor, confirmation, givenDevices, givenFirmware, silentLog, startOfTime } from '../../../support/fixtures.ts';
import { InMemoryEventBus } from '../../../support/in-memory-event-bus.ts';
import { createSimulatedWalk } from '../../../support/simulated-walk.ts';

const { db } = await createTestDatabase({ maxConnections: 20 });

const given = async (devices: number, { bus = new InMemoryEventBus(), isOff = false, ...settings }: Record<string, unknown> = {}) => {
  const events = bus as InMemoryEventBus;
  const walk = createSimulatedWalk(db, isOff ? undefined : events);
  const firmware = await givenFirmware(db);
  const external_ids = await givenDevices(db, devices);
  const { id } = await walk.request({ firmware_id: firmware.id, targets: { external_ids }, canary: null, abort: [], ...settings });
  return { ...walk, id, firmware, external_ids, events };
};

type Given = Awaited<ReturnType<typeof given>>;

const toldOfUpdate = ({ events }: Given) =>
  events.published.filter(({ type }) => type === 'Update status changed').map(({ detail }) => [detail.status, detail.finished_dt !== null]);

/** By execution: the statuses that were told, in their order. */
const toldOfExecutions = ({ events }: Given): Map<number, string[]> => {
  const told = new Map<number, string[]>();
  for (const { type, detail } of events.published) {
    if (type !== 'Execution status changed') continue;
    for (const { id } of detail.executions) told.set(id, [...(told.get(id) ?? []), detail.status]);
  }
  return told;
};

const expectAllTold = async (walk: Given): Promise<void> => {
  const told = toldOfExecutions(walk);
  for (const { id, status } of await walk.executions(walk.id)) expect(told.get(id)?.at(-1)).toBe(status);
  const { status, finished_dt } = await walk.find(walk.id);
  expect(toldOfUpdate(walk).at(-1)).toEqual([status, finished_dt !== null]);
  expect({ left: walk.messagesLeft(), dead: walk.deadLetters() }).toEqual({ left: 0, dead: 0 });
};

describe('events', () => {
  it('tell every change of status once, up to 100 executions of one status in each, and of the update with its counts', async () => {
    const walk = await given(250);
    walk.backend.behave = ({ execution_id }) => ({ seconds: 20, result: execution_id % 10 === 0 ? 'fails' : 'succeeds' });
    await walk.run();
    await expectAllTold(walk);
    expect(toldOfUpdate(walk)).toEqual([
      ['IN_PROGRESS', false],
      ['COMPLETED', true],
    ]);
    expect(walk.events.published.at(-1)?.detail).not.toHaveProperty('told');
    const told = toldOfExecutions(walk);
    expect([...told.values()].filter((statuses) => statuses.join() === 'IN_PROGRESS,SUCCEEDED')).toHaveLength(225);
    expect([...told.values()].filter((statuses) => statuses.join() === 'IN_PROGRESS,FAILED')).toHaveLength(25);
    const last = walk.events.published.findLast(({ type }) => type === 'Update status changed');
    expect(last).toMatchObject({ detail: { id: walk.id, counts: { SUCCEEDED: 225, FAILED: 25 }, progress: 1 } });
    // 3 for those asked, 3 for those that succeeded, 1 for those that failed, 2 of the update.
    expect(walk.events.published).toHaveLength(9);
    const failed = walk.events.published.find(({ detail }) => detail.status === 'FAILED');
    expect(failed).toMatchObject({ type: 'Execution status changed', detail: { update_id: walk.id } });
    expect(failed?.detail.executions).toHaveLength(25);
    expect(failed?.detail.executions[0]).toEqual({
      id: expect.any(Number),
      kind: 'scooter',
      external_id: expect.stringMatching(/./),
      reason: 'DEVICE_FAILED',
      attempt: 1,
      sent_dt: expect.any(String),
      finished_dt: expect.any(String),
    });
  });

  it('tell of a pause, a resume and a cancel, and of the end that comes after it', async () => {
    const walk = await given(30, { rollout: { maximum_in_progress: 10 } });
    walk.backend.behave = () => ({ seconds: 60, result: 'succeeds' });
    await walk.run({ seconds: 10 });
    await pauseUpdate(walk.deps, walk.id, { reason: 'rain' }, actor);
    await walk.run({ seconds: 5 });
    await resumeUpdate(walk.deps, walk.id, actor);
    await walk.run({ seconds: 5 });
    await cancelUpdate(walk.deps, walk.id, { force: false, reason: null }, actor);
    await walk.run();
    await expectAllTold(walk);
    expect(toldOfUpdate(walk)).toEqual([
      ['IN_PROGRESS', false],
      ['PAUSED', false],
      ['IN_PROGRESS', false],
      ['CANCELED', false],
      ['CANCELED', true],
    ]);
    expect(walk.events.published.find(({ detail }) => detail.status === 'PAUSED')).toMatchObject({ detail: { reason: 'rain' } });
  });

  it('tell of a scheduled update when it was requested, and not of devices that needed nothing', async () => {
    const start_dt = addSeconds(startOfTime, 600).toISOString();
    const walk = await given(3, { start_dt });
    await walk.run({ seconds: 100 });
    expect(toldOfUpdate(walk)).toEqual([['SCHEDULED', false]]);
    await walk.run();
    await expectAllTold(walk);
    const again = createSimulatedWalk(db, walk.events);
    walk.events.published.length = 0;
    const { id } = await again.request({ firmware_id: walk.firmware.id, targets: { external_ids: walk.external_ids } });
    await again.run();
    expect(walk.events.published).toMatchObject([{ detail: { id, status: 'COMPLETED', counts: { SUCCEEDED: 3 } } }]);
  });

  it('of a bus that is away wait for it, and hold up nothing: the update ends, and then all of it is told', async () => {
    const walk = await given(30);
    walk.events.failures = Number.POSITIVE_INFINITY;
    await walk.run({ seconds: 3_600 });
    expect(await walk.find(walk.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 30 } });
    expect(walk.events.published).toEqual([]);
    walk.events.failures = 0;
    await walk.run();
    await expectAllTold(walk);
  });

  it('of a bus that stays away are given up a day after the update has ended', async () => {
    const walk = await given(3);
    walk.events.failures = Number.POSITIVE_INFINITY;
    await walk.run({ seconds: 600 });
    // A step comes every half minute; most of the day is skipped.
    walk.clock.advance(85_000);
    await walk.run({ seconds: 600 });
    expect(walk.messagesLeft()).toBe(1);
    await walk.run();
    expect({ left: walk.messagesLeft(), dead: walk.deadLetters() }).toEqual({ left: 0, dead: 0 });
    expect(walk.seconds()).toBeGreaterThanOrEqual(86_400);
    expect(walk.seconds()).toBeLessThanOrEqual(86_600);
  });

  it('are told again when it is not known whether the bus has them, and none is lost', async () => {
    const walk = await given(150);
    walk.events.storesWhenFailing = true;
    walk.events.failures = 5;
    await walk.run();
    await expectAllTold(walk);
    expect(toldOfUpdate(walk).length).toBeGreaterThan(2);
  });

  it('say only what was committed, in the order of an execution, however many tell at one moment', async () => {
    const walk = await given(120);
    walk.deps.advances.isDuplicated = () => true;
    await walk.run();
    await expectAllTold(walk);
    const ranks = { IN_PROGRESS: 0, SUCCEEDED: 1 } as Record<string, number>;
    for (const statuses of toldOfExecutions(walk).values()) {
      const told = statuses.map((status) => ranks[status] ?? Number.NaN);
      expect(told).toEqual([...told].sort());
    }
  });

  it.each(['older', 'newer'] as const)(
    'say last what is so, when the older of two statuses is published last, and the %s is noted first',
    async (first) => {
      const walk = await given(1);
      walk.backend.behave = () => ({ seconds: 600, result: 'succeeds' });
      walk.events.failures = Number.POSITIVE_INFINITY;
      await walk.run({ seconds: 10 });
      walk.events.failures = 0;
      const [execution] = await walk.executions(walk.id);
      expect(execution).toMatchObject({ status: 'IN_PROGRESS', told_status: 'QUEUED' });
      const tellBy = (publishEvents: EventBus['publishEvents']) =>
        tellEvents({ db, events: { publishEvents }, log: silentLog, now: walk.clock.now }, walk.id);

      const published = Promise.withResolvers<void>();
      const noted = Promise.withResolvers<void>();
      let newer: Promise<Told> | undefined;
      const older = await tellBy(async (events) => {
        // Of the two events of this step, the one about the execution: while it is on its way, the device refuses, and another step tells that.
        if (events[0]?.type === 'Execution status changed') {
          await confirmUpdate(walk.deps, [
            confirmation({ external_id: walk.external_ids[0] ?? '', version: '0', status: 'REJECTED', execution_id: execution?.id }),
          ]);
          newer = tellBy(async (theirs) => {
            await walk.events.publishEvents(theirs);
            published.resolve();
            if (first === 'older') await noted.promise;
          });
          await (first === 'older' ? published.promise : newer);
        }
        await walk.events.publishEvents(events);
      });
      noted.resolve();
      expect({ older, newer: await newer }).toEqual(first === 'older' ? { older: 'all', newer: 'some' } : { older: 'some', newer: 'all' });
      const told = () => toldOfExecutions(walk).get(execution?.id ?? 0);
      expect(told()).toEqual(['REJECTED', 'IN_PROGRESS']);

      expect(await tellBy((events) => walk.events.publishEvents(events))).toBe('all');
      expect(told()).toEqual(['REJECTED', 'IN_PROGRESS', 'REJECTED']);
    },
  );

  it('of many devices that end at one moment are told within a few steps', async () => {
    const walk = await given(1, { rollout: { maximum_per_minute: 1 } });
    const external_ids = (await Promise.all(Array.from({ length: 3 }, () => givenDevices(db, 4_000)))).flat();
    const kinds = { filter: { kind: 'scooter' } };
    await cancelUpdate(walk.deps, walk.id, { force: true, reason: null }, actor);
    await walk.run();
    const { id } = await walk.request({ firmware_id: walk.firmware.id, targets: kinds, rollout: { maximum_per_minute: 1 }, canary: null });
    await walk.run({ seconds: 5 });
    walk.events.published.length = 0;
    walk.events.calls = 0;
    const began = walk.seconds();
    // The call ends the first of them, the steps after it the others.
    const { canceled: atOnce, canceling } = await cancelUpdate(walk.deps, id, { force: true, reason: null }, actor);
    const canceled = atOnce + canceling;
    expect(canceled).toBeGreaterThanOrEqual(external_ids.length);
    await walk.run();
    const told = walk.events.published.filter(({ detail }) => detail.status === 'CANCELED' && detail.executions);
    expect(told.reduce((sum, { detail }) => sum + detail.executions.length, 0)).toBe(canceled);
    expect(told.length).toBeLessThanOrEqual(canceled / 100 + 2);
    expect(walk.events.calls).toBeLessThanOrEqual(canceled / 1_000 + 3);
    expect(walk.seconds() - began).toBeLessThanOrEqual(70);
  });
});

describe('an update that has finished before its last events were told', () => {
  it('tells them after any control, where the message that was to tell them was lost', async () => {
    const walk = await given(2);
    walk.events.failures = Number.POSITIVE_INFINITY;
    while (!(await walk.find(walk.id)).finished_dt) await walk.run({ seconds: 10 });
    walk.deps.advances.isLost = () => true;
    await walk.run();
    expect({ left: walk.messagesLeft(), told: walk.events.published }).toEqual({ left: 0, told: [] });

    walk.deps.advances.isLost = () => false;
    walk.events.failures = 0;
    await expect(pauseUpdate(walk.deps, walk.id, { reason: null }, actor)).rejects.toMatchObject({ code: 'update.ended' });
    await walk.run();
    await expectAllTold(walk);
    // And nothing is sent for one of which all is told.
    await expect(pauseUpdate(walk.deps, walk.id, { reason: null }, actor)).rejects.toMatchObject({ code: 'update.ended' });
    expect(walk.messagesLeft()).toBe(0);
  });
});

describe('without a bus', () => {
  it('nothing is noted, and nothing is told later of an update that was requested then', async () => {
    const walk = await given(5, { isOff: true });
    await walk.run();
    expect((await walk.executions(walk.id)).every(({ told_status }) => told_status === null)).toBe(true);
    expect(await tellEvents({ db, events: walk.events, log: silentLog, now: walk.clock.now }, walk.id)).toBe('all');
    expect(walk.events.calls).toBe(0);
  });
});
