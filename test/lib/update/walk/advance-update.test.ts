import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { BackendUnavailable } from '../../../../lib/ports/backend.ts';
import type { DispatchMessage } from '../../../../lib/update/messages.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { givenDevices, givenFirmware } from '../../../support/fixtures.ts';
import { untilWaiting } from '../../../support/locks.ts';
import { createUpdateService, failsAfter, type UpdateService } from '../../../support/update-service.ts';

const { db } = await createTestDatabase();
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

const idsOf = (messages: readonly DispatchMessage[]) => messages.map(({ dispatch_id }) => dispatch_id);
const commanded = () => service.deps.backend.commands.map(({ execution_id, attempt }) => `${execution_id}/${attempt}`);

describe('a step of an update', () => {
  it('hands executions over in chunks of at most 100, oldest first, and begins the update', async () => {
    const { update, message } = await service.given({ devices: 201 });
    await service.advance(message);
    const dispatches = await service.dispatchesOf(update.id);
    expect(dispatches.map(({ commands, step }) => [commands, step])).toEqual([
      [100, 0],
      [100, 0],
      [1, 0],
    ]);
    expect(service.deps.dispatches.take()).toEqual(dispatches.map(({ id }) => ({ dispatch_id: id })));
    const executions = await service.executions(update.id);
    expect(executions.map(({ dispatch_id }) => dispatch_id)).toEqual([
      ...Array.from({ length: 100 }, () => dispatches[0]?.id),
      ...Array.from({ length: 100 }, () => dispatches[1]?.id),
      dispatches[2]?.id,
    ]);
    expect(await service.find(update.id)).toMatchObject({ status: 'IN_PROGRESS', started_dt: service.clock.now(), finished_dt: null });
    expect(service.deps.advances.take()).toMatchObject([{ update_id: update.id, step: 1 }]);
  });

  it('bounds itself: of 10,001 devices without a pace to mind, 10,000 go in one step', async () => {
    const { update, message } = await service.given({ devices: 1 });
    const firmware = await givenFirmware(db, { hardware_type: 'vega_gsm' });
    await db.deleteFrom('update_executions').where('update_id', '=', update.id).execute();
    await givenDevices(db, 10_001);
    const large = await service.request({
      firmware_id: firmware.id,
      targets: { filter: {} },
      rollout: { maximum_per_minute: 1_000_000 },
    });
    await service.advance({ ...message, update_id: large.id });
    expect(service.deps.dispatches.take()).toHaveLength(100);
    const dispatches = await service.dispatchesOf(large.id);
    expect(dispatches.reduce((sum, { commands }) => sum + commands, 0)).toBe(10_000);
  });

  it('leaves devices that poll for themselves where they are: QUEUED, nothing sent, and the update goes on waiting for them', async () => {
    const firmware = await givenFirmware(db);
    const [carried = ''] = await givenDevices(db, 1);
    const polling = await givenDevices(db, 2, { version: 2, channel: 'iot' });
    const update = await service.request({ firmware_id: firmware.id, targets: { external_ids: [carried, ...polling] } });
    for (let steps = 0; steps < 5; steps += 1) {
      const messages = service.deps.advances.take();
      expect(messages).toHaveLength(1);
      for (const message of messages) await service.advance(message);
      for (const message of service.deps.dispatches.take()) await service.dispatch(message);
      service.clock.advance(60);
    }
    expect(service.deps.backend.commands.map(({ external_id }) => external_id)).toEqual([carried]);
    const executions = await service.executions(update.id);
    expect(executions.filter(({ external_id }) => external_id !== carried)).toMatchObject([
      { status: 'QUEUED', sent_dt: null, dispatch_id: null },
      { status: 'QUEUED', sent_dt: null, dispatch_id: null },
    ]);
    expect(await service.find(update.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { QUEUED: 2, IN_PROGRESS: 1 } });
  });

  it('sends nothing at all for cabinets and scooters with their own IoT', async () => {
    const cabinetFirmware = await givenFirmware(db, { hardware_type: 'cabinet' });
    const scooterFirmware = await givenFirmware(db, { hardware_type: 'yandex_iot' });
    const cabinets = await givenDevices(db, 2, { kind: 'cabinet' });
    const scooters = await givenDevices(db, 2, { version: null });
    await service.request({ firmware_id: cabinetFirmware.id, targets: { kind: 'cabinet', external_ids: cabinets } });
    await service.request({ firmware_id: scooterFirmware.id, targets: { external_ids: scooters } });
    for (const message of service.deps.advances.take()) await service.advance(message);
    expect(service.deps.dispatches.sent).toEqual([]);
    expect(service.deps.advances.sent).toHaveLength(2);
  });

  it('ends an update in its first step when every device runs the version already', async () => {
    const { firmware, external_ids, message } = await service.givenSent();
    await service.confirmAsked(firmware.version);
    await service.advance(message);
    const again = await service.request({ firmware_id: firmware.id, targets: { external_ids } });
    const [first] = service.deps.advances.take();
    await service.advance(first);
    expect(await service.find(again.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 1 }, finished_dt: service.clock.now() });
    expect(service.deps.advances.sent).toEqual([]);
    expect(service.deps.dispatches.sent).toEqual([]);
  });
});

describe('a crash in a step', () => {
  const pace = { rollout: { maximum_per_minute: 1_000_000, maximum_in_progress: 150 } };

  it('before the commit: nothing was released, the repetition does the step', async () => {
    const { update, message } = await service.given({ devices: 3 });
    await expect(
      db.transaction().execute(async (trx) => {
        // The use case opens its own transaction; a lock held by somebody else makes it fail as a lost connection would.
        await sql`SELECT FROM updates WHERE id = ${update.id} FOR UPDATE`.execute(trx);
        const stopped = Promise.allSettled([service.advance(message)]);
        const [victim] = await untilWaiting(db, 1);
        await sql`SELECT pg_terminate_backend(${victim}::integer)`.execute(trx);
        expect(await stopped).toMatchObject([{ status: 'rejected' }]);
        throw new Error('nothing of this transaction stays');
      }),
    ).rejects.toThrow('nothing of this transaction stays');
    expect(await service.dispatchesOf(update.id)).toEqual([]);
    expect(service.deps.dispatches.sent).toEqual([]);
    expect(service.deps.advances.sent).toEqual([]);
    await service.advance(message);
    expect(service.deps.dispatches.sent).toHaveLength(1);
    expect(service.deps.advances.sent).toHaveLength(1);
  });

  it('after the commit, before any chunk is sent: the repetition sends these chunks and releases no others', async () => {
    const { update, message } = await service.given({ devices: 250, ...pace });
    service.deps.dispatches.failures = 1;
    await expect(service.advance(message)).rejects.toMatchObject({ code: 'queue.unavailable' });
    const released = await service.dispatchesOf(update.id);
    expect(released.map(({ commands }) => commands)).toEqual([100, 50]);
    expect(service.deps.advances.sent).toEqual([]);

    service.clock.advance(200);
    await service.advance(message);
    expect(idsOf(service.deps.dispatches.take())).toEqual(released.map(({ id }) => id));
    expect(await service.dispatchesOf(update.id)).toEqual(released);
    expect(service.deps.advances.take()).toMatchObject([{ step: 1 }]);
  });

  it('after some of its chunks are sent: all of them are sent again, each is commanded once', async () => {
    const { update, message } = await service.given({ devices: 250, ...pace });
    await expect(service.advance(message, { dispatches: failsAfter(service.deps.dispatches, 1) })).rejects.toThrow();
    const first = service.deps.dispatches.take();
    expect(first).toHaveLength(1);
    for (const chunk of first) await service.dispatch(chunk);

    await service.advance(message);
    const second = service.deps.dispatches.take();
    expect(second).toHaveLength(1);
    for (const chunk of [...first, ...second]) await service.dispatch(chunk);
    expect(commanded()).toHaveLength(150);
    expect(new Set(commanded()).size).toBe(150);
    expect(await service.find(update.id)).toMatchObject({ counts: { QUEUED: 100, IN_PROGRESS: 150 } });
  });

  it('when the message of the next step cannot be sent: the chunks may come twice, the devices are commanded once', async () => {
    const { message } = await service.given({ devices: 150 });
    service.deps.advances.failures = 1;
    await expect(service.advance(message)).rejects.toMatchObject({ code: 'queue.unavailable' });
    await service.advance(message);
    const chunks = service.deps.dispatches.take();
    expect(new Set(idsOf(chunks)).size).toBe(2);
    for (const chunk of chunks) await service.dispatch(chunk);
    expect(commanded()).toHaveLength(150);
    expect(service.deps.advances.take()).toMatchObject([{ step: 1 }]);
  });

  it('after the message of the next step is sent: two messages of one step, which become one again', async () => {
    const { update, message } = await service.given({ devices: 300, rollout: { maximum_per_minute: 60 } });
    await expect(service.advance(message, { advances: failsAfter(service.deps.advances, 1) })).rejects.toThrow();
    await service.advance(message);
    const twins = service.deps.advances.take();
    expect(twins).toMatchObject([{ step: 1 }, { step: 1 }]);
    for (const twin of twins) await service.advance(twin);
    expect(service.deps.advances.take()).toMatchObject([{ update_id: update.id, step: 2 }]);
  });

  it('anywhere, again and again: nothing is lost, nothing is commanded twice, and the update ends', async () => {
    const { update, firmware, message } = await service.given({ devices: 250, ...pace });
    let messages: unknown[] = [message];
    for (let round = 0; round < 60 && messages.length > 0; round += 1) {
      const left: unknown[] = [];
      for (const current of messages) {
        // A different one of the three sends fails in every round; the third time all goes well.
        const failing = [
          { dispatches: failsAfter(service.deps.dispatches, round % 2) },
          { advances: failsAfter(service.deps.advances, round % 2) },
          {},
        ][round % 3];
        await service.advance(current, failing).catch(() => left.push(current));
      }
      for (const chunk of service.deps.dispatches.take()) await service.dispatch(chunk);
      messages = [...left, ...service.deps.advances.take()];
      expect(messages.length).toBeLessThanOrEqual(3);
      const asked = service.deps.backend.commands;
      expect(new Set(asked.map(({ execution_id }) => execution_id)).size).toBe(asked.length);
      await service.confirmAsked(firmware.version);
    }
    expect(messages).toEqual([]);
    expect(await service.find(update.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 250 } });
    const executions = await service.executions(update.id);
    expect(new Set(executions.map(({ attempt }) => attempt))).toEqual(new Set([1]));
  });
});

describe('messages of a walk that come more than once', () => {
  it('every message twice, one after the other: one chain, nothing released twice, the update ends', async () => {
    const { update, firmware, message } = await service.given({ devices: 60, rollout: { maximum_per_minute: 60 } });
    let messages: unknown[] = [message];
    let steps = 0;
    while (messages.length > 0 && steps < 100) {
      steps += 1;
      for (const current of messages) {
        await service.advance(current);
        await service.advance(current);
      }
      const chunks = service.deps.dispatches.take();
      for (const chunk of [...chunks, ...chunks]) await service.dispatch(chunk);
      messages = service.deps.advances.take();
      expect(messages.length).toBeLessThanOrEqual(1);
      await service.confirmAsked(firmware.version);
    }
    expect(await service.find(update.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 60 } });
    const dispatches = await service.dispatchesOf(update.id);
    expect(dispatches.reduce((sum, { commands }) => sum + commands, 0)).toBe(60);
  });

  it('the same message ten times at one moment: releases once; as many messages as came at most, and they become one again', async () => {
    const { update, message } = await service.given({ devices: 300, rollout: { maximum_per_minute: 60 } });
    await Promise.all(Array.from({ length: 10 }, () => service.advance(message)));
    expect((await service.dispatchesOf(update.id)).map(({ commands }) => commands)).toEqual([5]);
    let twins = service.deps.advances.take();
    expect(twins.length).toBeGreaterThanOrEqual(1);
    expect(twins.length).toBeLessThanOrEqual(10);
    expect(new Set(twins.map(({ step }) => step))).toEqual(new Set([1]));
    for (const twin of twins) await service.advance(twin);
    twins = service.deps.advances.take();
    expect(twins).toMatchObject([{ step: 2 }]);
  });

  it('twins that always meet at one moment stay two, never more, over 30 steps', async () => {
    const { update, message } = await service.given({ devices: 2_000, rollout: { maximum_per_minute: 60 } });
    let messages: unknown[] = [message, message];
    for (let step = 0; step < 30; step += 1) {
      await Promise.all(messages.map((current) => service.advance(current)));
      for (const chunk of service.deps.dispatches.take()) await service.dispatch(chunk).catch(() => undefined);
      messages = service.deps.advances.take();
      expect(messages.length).toBeGreaterThanOrEqual(1);
      expect(messages.length).toBeLessThanOrEqual(2);
      service.clock.advance(1);
    }
    const steps = (await service.dispatchesOf(update.id)).map(({ step }) => step);
    expect(new Set(steps).size).toBe(steps.length);
  });

  it('a message of a step long past changes nothing and sends nothing', async () => {
    const { update, message } = await service.given({ devices: 20, rollout: { maximum_per_minute: 60 } });
    let current: unknown = message;
    for (let step = 0; step < 4; step += 1) {
      await service.advance(current);
      [current] = service.deps.advances.take();
      service.clock.advance(5);
    }
    const before = [await service.dispatchesOf(update.id), await service.find(update.id)];
    service.deps.dispatches.take();
    for (const step of [0, 1, 2]) await service.advance({ ...message, step });
    expect([await service.dispatchesOf(update.id), await service.find(update.id)]).toEqual(before);
    expect(service.deps.advances.sent).toEqual([]);
    expect(service.deps.dispatches.sent).toEqual([]);
  });

  it('messages of an update that has ended change nothing and send nothing', async () => {
    const { update, firmware, message } = await service.givenSent();
    await service.confirmAsked(firmware.version);
    await service.advance(message);
    const before = await service.find(update.id);
    expect(before.status).toBe('COMPLETED');
    service.clock.advance(10);
    for (const step of [0, 1, 2, 3, 50]) await service.advance({ ...message, step });
    expect(await service.find(update.id)).toEqual(before);
    expect(service.deps.advances.sent).toEqual([]);
    expect(service.deps.dispatches.sent).toEqual([]);
  });
});

describe('a message without its update', () => {
  const message = () => ({ update_id: 2_000_000_000, step: 0, created_dt: service.clock.now() });

  it('waits for the commit, looking every 2 s, and is dropped after a minute', async () => {
    let messages: unknown[] = [message()];
    let looks = 0;
    while (messages.length > 0 && looks < 100) {
      looks += 1;
      for (const current of messages) await service.advance(current);
      expect(service.deps.advances.delays.every((delay) => delay === 2)).toBe(true);
      messages = service.deps.advances.take();
      service.clock.advance(2);
    }
    expect(looks).toBe(31);
  });

  it('begins the walk when the commit comes late', async () => {
    const { update, message: real } = await service.given();
    await service.advance({ ...real, update_id: 2_000_000_000 });
    const [waiting] = service.deps.advances.take();
    await service.advance({ ...waiting, update_id: update.id });
    expect(service.deps.dispatches.sent).toHaveLength(1);
    expect(service.deps.advances.sent).toMatchObject([{ update_id: update.id, step: 1 }]);
  });

  it('comes again when it cannot be sent again', async () => {
    service.deps.advances.failures = 1;
    await expect(service.advance(message())).rejects.toMatchObject({ code: 'queue.unavailable' });
  });
});

describe('an update always ends', () => {
  it('with a backend that defers, rejects, forgets and is down by turns', async () => {
    const { update, firmware, message } = await service.given({
      devices: 120,
      rollout: { maximum_per_minute: 6_000, maximum_in_progress: 40 },
      abort: [],
    });
    let calls = 0;
    service.deps.backend.during = async () => {
      calls += 1;
      service.deps.backend.failure = calls % 4 === 0 ? new BackendUnavailable('backend answered 503') : undefined;
    };
    const deferrals = new Map<number, number>();
    service.deps.backend.answer = ({ execution_id }) => {
      if (execution_id % 7 === 0) return { execution_id, outcome: 'rejected', reason: 'locked by the police' };
      const deferred = deferrals.get(execution_id) ?? 0;
      if (execution_id % 5 === 0 && deferred < 2) {
        deferrals.set(execution_id, deferred + 1);
        return { execution_id, outcome: 'deferred', reason: 'is ridden', retry_after_seconds: 20 };
      }
      return { execution_id, outcome: 'accepted' };
    };
    let messages: unknown[] = [message];
    let steps = 0;
    while (messages.length > 0 && steps < 300) {
      steps += 1;
      for (const current of messages) await service.advance(current);
      for (const chunk of service.deps.dispatches.take()) await service.dispatch(chunk);
      messages = service.deps.advances.take();
      await service.confirmAsked(firmware.version);
    }
    expect(messages).toEqual([]);
    const { status, counts } = await service.find(update.id);
    expect(status).toBe('COMPLETED');
    expect(counts['SUCCEEDED']).toBe(120 - (counts['REJECTED'] ?? 0));
    expect(counts['REJECTED']).toBeGreaterThanOrEqual(17);
  });
});
