import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { changeDevices, lockDevice } from '../../../../lib/fleet/change-queries.ts';
import { changeZone } from '../../../../lib/fleet/edit-zone.ts';
import { daysOfWeek } from '../../../../lib/fleet/maintenance-window.ts';
import { BackendUnavailable } from '../../../../lib/ports/backend.ts';
import type { Queue } from '../../../../lib/ports/queue.ts';
import { changeDevice } from '../../../../lib/update/change-device.ts';
import { getExecutions } from '../../../../lib/update/get-update.ts';
import type { AdvanceMessage } from '../../../../lib/update/messages.ts';
import { dryRunUpdate } from '../../../../lib/update/plan/dry-run-update.ts';
import { wakeSleepers } from '../../../../lib/update/reach/wake-update.ts';
import { changePace } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { createDevicesThatPoll, linkedIn } from '../../../support/devices-that-poll.ts';
import { actor, givenDevices, givenFirmware, startOfTime, updateRequest } from '../../../support/fixtures.ts';
import { untilWaiting } from '../../../support/locks.ts';
import { createUpdateService, type UpdateService } from '../../../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();
let service: UpdateService;
beforeEach(async () => {
  service = createUpdateService(db);
  await sql`UPDATE update_executions SET phase = 'ended', status = 'CANCELED', finished_dt = ${startOfTime}, next_attempt_dt = NULL
            WHERE phase <> 'ended'`.execute(db);
  await sql`UPDATE zones SET maintenance_window = NULL, maximum_unavailable_percentage = 100`.execute(db);
});

let zones = 0;
/** Tests begin at 08:00 UTC, which is 11:00 in Moscow. */
const givenZone = async ({
  percentage = 100,
  window = null as { from: string; until: string } | null,
  time_zone = 'Europe/Moscow',
} = {}) => {
  zones += 1;
  const name = `zone-${zones}`;
  const maintenance_window = window && JSON.stringify({ ...window, days: daysOfWeek });
  const zone = { name, time_zone, maximum_unavailable_percentage: percentage, maintenance_window, created_dt: startOfTime };
  await db.insertInto('zones').values(zone).execute();
  return name;
};

const givenUpdate = async (external_ids: readonly string[], request: Record<string, unknown> = {}, hardware_type = 'vega_mcu') => {
  const firmware = await givenFirmware(db, { hardware_type });
  service.deps.advances.take();
  const update = await service.request({ firmware_id: firmware.id, targets: { external_ids }, ...request });
  const [message] = service.deps.advances.take() as [AdvanceMessage];
  return { firmware, update, message };
};

/** A step, with what it has released handed over; answers the next message and after how many seconds it comes. */
const step = async (message: AdvanceMessage) => {
  service.deps.advances.take();
  await service.advance(message);
  for (const dispatch of service.deps.dispatches.take()) await service.dispatch(dispatch);
  const { delays } = service.deps.advances;
  const delay = delays[0];
  const [next] = service.deps.advances.take();
  if (!next || delay === undefined) throw new Error('the walk has ended');
  return { next, delay };
};

const asked = async (update_id: number) =>
  (await service.executions(update_id)).filter(({ phase }) => phase === 'asked').map(({ external_id }) => external_id);
const waitsOf = async (update_id: number) =>
  (await getExecutions(db, { update_id, limit: 500 }, service.clock.now())).items.map(({ waits_for }) => waits_for);

describe('the availability budget of a zone', () => {
  it('lets so many per cent of its devices be asked, and the next one when one has ended', async () => {
    const zone = await givenZone({ percentage: 10 });
    const devices = await givenDevices(db, 29, { zone });
    const { firmware, update, message } = await givenUpdate(devices);
    const { next, delay } = await step(message);
    expect(await asked(update.id)).toHaveLength(2);
    expect(delay).toBeLessThanOrEqual(30);
    expect((await waitsOf(update.id)).filter((wait) => wait?.cause === 'BUDGET')).toHaveLength(27);

    const [first = ''] = await asked(update.id);
    await service.confirm({
      ...{ kind: 'scooter', hardware_type: 'vega_mcu', status: 'SUCCEEDED' },
      external_id: first,
      version: firmware.version,
      occurred_dt: service.clock.now(),
    });
    service.clock.advance(1);
    await step(next);
    expect(await asked(update.id)).toHaveLength(2);
    expect(await asked(update.id)).not.toContain(first);
  });

  it('always lets one device be asked', async () => {
    const zone = await givenZone({ percentage: 1 });
    const { update, message } = await givenUpdate(await givenDevices(db, 3, { zone }));
    await step(message);
    expect(await asked(update.id)).toHaveLength(1);
  });

  it('is the lower one of the zone and of the update, and devices without a zone are a zone of their own', async () => {
    const zone = await givenZone({ percentage: 50 });
    const there = await givenDevices(db, 20, { zone });
    await givenDevices(db, 100);
    const nowhere = await db
      .selectFrom('devices')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .where('zone', 'is', null)
      .where('kind', '=', 'scooter')
      .executeTakeFirstOrThrow();
    const without = await givenDevices(db, 60);
    const { update, message } = await givenUpdate([...there, ...without], { rollout: { maximum_unavailable_percentage: 20 } });
    await step(message);
    const found = await asked(update.id);
    expect(found.filter((id) => there.includes(id))).toHaveLength(4);
    expect(found.filter((id) => without.includes(id))).toHaveLength(Math.floor((nowhere.n + 60) / 5));
  });

  it('counts devices in service: not those of another kind, and not those that are retired', async () => {
    const zone = await givenZone({ percentage: 50 });
    const scooters = await givenDevices(db, 4, { zone });
    await givenDevices(db, 10, { zone, kind: 'cabinet', channel: 'iot' });
    const [retired = ''] = await givenDevices(db, 2, { zone });
    await db.transaction().execute(async (trx) => {
      const device = await lockDevice(trx, 'scooter', retired);
      if (device) await changeDevices(trx, [{ ...device, retired_dt: startOfTime }]);
    });
    const { update, message } = await givenUpdate(scooters);
    await step(message);
    // Half of five.
    expect(await asked(update.id)).toHaveLength(2);
  });

  it('is one for all updates together, and a device counts once', async () => {
    const zone = await givenZone({ percentage: 20 });
    const devices = await givenDevices(db, 10, { zone });
    const one = await givenUpdate(devices);
    const other = await givenUpdate(devices, {}, 'vega_gsm');
    await step(one.message);
    await step(other.message);
    expect(await asked(one.update.id)).toHaveLength(2);
    expect(await asked(other.update.id)).toHaveLength(0);
  });

  it('counts a device whose answer is missing, which keeps its place and is asked again', async () => {
    const zone = await givenZone({ percentage: 20 });
    const { update, message } = await givenUpdate(await givenDevices(db, 10, { zone }));
    service.deps.backend.failure = new BackendUnavailable('backend answered 503');
    let { next } = await step(message);
    service.deps.backend.failure = undefined;
    for (let steps = 0; steps < 20; steps += 1) {
      service.clock.advance(2);
      ({ next } = await step(next));
      const touched = (await service.executions(update.id)).filter(({ sent_dt, is_unanswered }) => sent_dt !== null || is_unanswered);
      expect(touched.length).toBeLessThanOrEqual(2);
    }
    expect(await asked(update.id)).toHaveLength(2);
  });

  it('does not hold back another zone, whatever stands in front', async () => {
    const full = await givenZone({ percentage: 1 });
    const open = await givenZone();
    const { update, message } = await givenUpdate(
      [...(await givenDevices(db, 30, { zone: full })), ...(await givenDevices(db, 5, { zone: open }))],
      {
        rollout: { maximum_per_minute: 60 },
      },
    );
    let { next } = await step(message);
    for (let steps = 0; steps < 8; steps += 1) {
      service.clock.advance(1);
      ({ next } = await step(next));
    }
    expect(await asked(update.id)).toHaveLength(6);
  });

  it('holds under races: two updates and forty messages against one zone', async () => {
    const zone = await givenZone({ percentage: 10 });
    const devices = await givenDevices(db, 60, { zone });
    const one = await givenUpdate(devices.slice(0, 30));
    const other = await givenUpdate(devices.slice(30), {}, 'vega_gsm');
    let messages = [one.message, other.message];
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 40 }, (_, i) => service.advance(messages[i % 2])));
      const dispatches = service.deps.dispatches.take();
      await Promise.all([...dispatches, ...dispatches].map((dispatch) => service.dispatch(dispatch).catch(() => {})));
      const out = await db
        .selectFrom('update_executions')
        .select('device_id')
        .distinct()
        .where('phase', 'not in', ['waiting', 'ended'])
        .where('zone', '=', zone)
        .execute();
      expect(out).toHaveLength(6);
      messages = [one, other].map(({ update }) => service.deps.advances.sent.findLast((m) => m.update_id === update.id) as AdvanceMessage);
      service.clock.advance(1);
    }
  });

  it('can be changed while the update runs', async () => {
    const zone = await givenZone();
    const { update, message } = await givenUpdate(await givenDevices(db, 10, { zone }), {
      rollout: { maximum_unavailable_percentage: 10 },
    });
    const { next } = await step(message);
    expect(await asked(update.id)).toHaveLength(1);
    await changePace(service.deps, update.id, { maximum_unavailable_percentage: 50 }, actor);
    service.clock.advance(1);
    await step(next);
    expect(await asked(update.id)).toHaveLength(5);
  });

  it('follows a device to another zone', async () => {
    const [from, to] = [await givenZone(), await givenZone({ percentage: 10 })];
    const devices = await givenDevices(db, 10, { zone: from });
    await givenDevices(db, 10, { zone: to });
    const { update, message } = await givenUpdate(devices, { rollout: { maximum_in_progress: 3 } });
    const { next } = await step(message);
    expect(await asked(update.id)).toHaveLength(3);
    await db.transaction().execute(async (trx) => {
      for (const external_id of devices) {
        const device = await lockDevice(trx, 'scooter', external_id);
        if (device) await changeDevices(trx, [{ ...device, zone: to }]);
      }
    });
    expect(new Set((await service.executions(update.id)).map(({ zone }) => zone))).toEqual(new Set([to]));
    await changePace(service.deps, update.id, { maximum_in_progress: null }, actor);
    service.clock.advance(1);
    await step(next);
    // Three are at work there, and two may be.
    expect(await asked(update.id)).toHaveLength(3);
  });

  it('is that of the zone to which a device is moved while its update is being planned', async () => {
    const [from, to] = [await givenZone(), await givenZone()];
    const [external_id = ''] = await givenDevices(db, 1, { zone: from });
    const firmware = await givenFirmware(db);
    let moved: Promise<unknown> = Promise.resolve();
    const advances: Queue<AdvanceMessage> = {
      // The plan is made, and not committed.
      async send() {
        moved = changeDevice(service.deps, { kind: 'scooter', external_id }, { zone: to }, actor);
        await untilWaiting(db, 1);
      },
    };
    const update = await service.request({ firmware_id: firmware.id, targets: { external_ids: [external_id] } }, {}, { advances });
    await moved;
    expect((await service.executions(update.id)).map(({ zone }) => zone)).toEqual([to]);
  });

  it('costs a step three statements, and one without windows and budgets none', async () => {
    const aboutZones = () => takeStatements().filter((statement) => /'zones'|"zones"|FROM zones|device_seen_counts/.test(statement));
    const plain = await givenUpdate(await givenDevices(db, 3, { zone: await givenZone() }));
    takeStatements();
    await service.advance(plain.message);
    // The lock of the update, which tells whether there are any.
    expect(aboutZones()).toHaveLength(1);
    const limited = await givenUpdate(await givenDevices(db, 3, { zone: await givenZone({ percentage: 50 }) }));
    takeStatements();
    await service.advance(limited.message);
    expect(aboutZones()).toHaveLength(4);
  });
});

describe('a maintenance window', () => {
  const closed = { from: '12:00', until: '14:00' };

  it('of the zone: nobody is asked before it opens, and the walk sleeps until then', async () => {
    const zone = await givenZone({ window: closed });
    const { update, message } = await givenUpdate(await givenDevices(db, 3, { zone }));
    let { next, delay } = await step(message);
    const delays = [delay];
    while (service.clock.now() < addSeconds(startOfTime, 3_600)) {
      expect(await asked(update.id)).toEqual([]);
      expect(await waitsOf(update.id)).toEqual(
        Array.from({ length: 3 }, () => ({ cause: 'WINDOW', until_dt: addSeconds(startOfTime, 3_600), since_dt: null, place: null })),
      );
      service.clock.advance(delay);
      ({ next, delay } = await step(next));
      delays.push(delay);
    }
    expect(delays.slice(0, 4)).toEqual([900, 900, 900, 900]);
    expect(service.clock.now()).toEqual(addSeconds(startOfTime, 3_600));
    expect(await asked(update.id)).toHaveLength(3);
  });

  it('of the update holds in the local time of each zone, in UTC without one, and beside that of the zone', async () => {
    const [moscow, berlin, both] = [
      await givenZone(),
      await givenZone({ time_zone: 'Europe/Berlin' }),
      await givenZone({ window: { from: '11:30', until: '12:30' } }),
    ];
    const devices = {
      moscow: await givenDevices(db, 1, { zone: moscow }),
      berlin: await givenDevices(db, 1, { zone: berlin }),
      both: await givenDevices(db, 1, { zone: both }),
      nowhere: await givenDevices(db, 1),
    };
    const window = { from: '08:00', until: '11:45' };
    const { update, message } = await givenUpdate(Object.values(devices).flat(), { window });
    const { next } = await step(message);
    // It is 11:00 in Moscow, 09:00 in Berlin and 08:00 in UTC.
    expect(await asked(update.id)).toEqual([...devices.moscow, ...devices.berlin, ...devices.nowhere]);
    service.clock.advance(1_800);
    await step(next);
    expect(await asked(update.id)).toContain(devices.both[0]);
  });

  it('that is changed wakes the walks that sleep until it opens', async () => {
    const name = await givenZone({ window: closed });
    const { update, message } = await givenUpdate(await givenDevices(db, 2, { zone: name }));
    await step(message);
    const { advances } = service.deps;
    const change = { maintenance_window: null };
    await changeZone({ ...service.deps, wakeSleepers: (trx) => wakeSleepers(trx, advances, service.clock.now()) }, name, change, actor);
    expect(advances.delays.every((delay) => delay === 1)).toBe(true);
    const woken = advances.take().find(({ update_id }) => update_id === update.id);
    service.clock.advance(1);
    await step(woken as AdvanceMessage);
    expect(await asked(update.id)).toHaveLength(2);
  });

  it('is not minded by an update that ignores windows', async () => {
    const zone = await givenZone({ window: closed });
    const { update, message } = await givenUpdate(await givenDevices(db, 1, { zone }), { ignore_window: true, comment: 'brakes fail' });
    await step(message);
    expect(await asked(update.id)).toHaveLength(1);
  });

  it('that closes while chunks are on their way keeps back whom they have not reached, and who is at work finishes', async () => {
    const zone = await givenZone({ window: { from: '10:00', until: '11:10' } });
    const open = await givenZone();
    const [early = '', late = ''] = await givenDevices(db, 2, { zone });
    const [elsewhere = ''] = await givenDevices(db, 1, { zone: open });
    const { firmware, update, message } = await givenUpdate([early, late, elsewhere], { rollout: { maximum_in_progress: 1 } });
    const { next } = await step(message);
    expect(await asked(update.id)).toEqual([early]);
    await changePace(service.deps, update.id, { maximum_in_progress: null }, actor);
    service.deps.dispatches.take();
    await service.advance(next);
    const dispatches = service.deps.dispatches.take();
    expect(dispatches).toHaveLength(1);
    service.clock.advance(600);
    for (const dispatch of dispatches) await service.dispatch(dispatch);
    expect(await asked(update.id)).toEqual([early, elsewhere]);
    expect((await service.executions(update.id)).map(({ phase }) => phase)).toEqual(['asked', 'waiting', 'asked']);
    await service.confirm({
      ...{ kind: 'scooter', hardware_type: 'vega_mcu', status: 'SUCCEEDED' },
      external_id: early,
      version: firmware.version,
      occurred_dt: service.clock.now(),
    });
    expect((await service.executions(update.id)).map(({ status }) => status)).toEqual(['SUCCEEDED', 'QUEUED', 'IN_PROGRESS']);
  });

  it('that closes over a whole chunk: it is put back without a call, and goes out when it opens again', async () => {
    const zone = await givenZone({ window: { from: '10:00', until: '11:10' } });
    const { update, message } = await givenUpdate(await givenDevices(db, 2, { zone }));
    await service.advance(message);
    const dispatches = service.deps.dispatches.take();
    service.clock.advance(600);
    for (const dispatch of dispatches) await service.dispatch(dispatch);
    expect(service.deps.backend.calls).toEqual([]);
    expect((await service.executions(update.id)).map(({ phase, sent_dt }) => [phase, sent_dt])).toEqual([
      ['waiting', null],
      ['waiting', null],
    ]);
    const [next] = service.deps.advances.take() as [AdvanceMessage];
    const { next: last, delay } = await step(next);
    expect(delay).toBe(900);
    service.clock.advance(86_400 - 600);
    await step(last);
    expect(await asked(update.id)).toHaveLength(2);
  });

  it('lets the canary be drawn where a window is open', async () => {
    const [shut, open] = [await givenZone({ window: closed }), await givenZone()];
    const there = await givenDevices(db, 10, { zone: open });
    const { update, message } = await givenUpdate([...(await givenDevices(db, 10, { zone: shut })), ...there], {
      canary: { size: 5, success_percentage: 100 },
    });
    await step(message);
    const found = await asked(update.id);
    expect(found).toHaveLength(5);
    expect(found.every((id) => there.includes(id))).toBe(true);
  });
});

describe('a canary that a retired device was part of', () => {
  const retire = (external_id: string) => changeDevice(service.deps, { kind: 'scooter', external_id }, { retired: true }, actor);
  const report = (external_id: string, version: string) =>
    service.confirm({
      ...{ kind: 'scooter', hardware_type: 'vega_mcu', status: 'SUCCEEDED' },
      ...{ external_id, version, occurred_dt: service.clock.now() },
    });
  const canary = { size: 2, success_percentage: 100 };

  it('is filled up by another device', async () => {
    const { firmware, update, message } = await givenUpdate(await givenDevices(db, 5), { canary });
    let { next } = await step(message);
    const [retired = '', other = ''] = await asked(update.id);
    await retire(retired);
    await report(other, firmware.version);
    service.clock.advance(1);
    ({ next } = await step(next));
    const [third = '', ...others] = await asked(update.id);
    expect(others).toEqual([]);
    await report(third, firmware.version);
    service.clock.advance(1);
    await step(next);
    expect(await asked(update.id)).toHaveLength(2);
  });

  it('is judged by those that are left where no other device is', async () => {
    const { firmware, update, message } = await givenUpdate(await givenDevices(db, 2), { canary });
    const { next } = await step(message);
    const [retired = '', other = ''] = await asked(update.id);
    await retire(retired);
    await report(other, firmware.version);
    service.clock.advance(1);
    await service.advance(next);
    expect(await service.find(update.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 1, REMOVED: 1 } });
  });
});

it('a canary of which a device ended before it was asked has not passed by the success of the others', async () => {
  const canary = { size: 2, success_percentage: 100 };
  const { firmware, update, message } = await givenUpdate(await givenDevices(db, 2), { canary, rollout: { maximum_per_minute: 1 } });
  const { next } = await step(message);
  const [first = '', ...others] = await asked(update.id);
  expect(others).toEqual([]);
  await db
    .updateTable('update_executions')
    .set({ phase: 'ended', status: 'TIMED_OUT', finished_dt: service.clock.now(), is_canary: false })
    .where('update_id', '=', update.id)
    .where('status', '=', 'QUEUED')
    .execute();
  await service.confirm({
    ...{ kind: 'scooter', hardware_type: 'vega_mcu', status: 'SUCCEEDED' },
    ...{ external_id: first, version: firmware.version, occurred_dt: service.clock.now() },
  });
  service.clock.advance(1);
  await service.advance(next);
  const { canary_passed_dt } = await db
    .selectFrom('updates')
    .select('canary_passed_dt')
    .where('id', '=', update.id)
    .executeTakeFirstOrThrow();
  expect(canary_passed_dt).toBeNull();
});

describe('devices that poll', () => {
  it('get no offer outside the window, and none beyond the budget', async () => {
    const ddi = createDevicesThatPoll(db);
    const { cabinets, update, message } = await ddi.givenUpdate({ devices: 6 });
    const zone = await givenZone({ percentage: 40, window: { from: '11:30', until: '12:00' } });
    await db.transaction().execute(async (trx) => {
      for (const { external_id } of cabinets) {
        const device = await lockDevice(trx, 'cabinet', external_id);
        if (device) await changeDevices(trx, [{ ...device, zone }]);
      }
    });
    const offers = async () => {
      const links = [];
      for (const cabinet of cabinets) links.push(linkedIn(await ddi.poll(cabinet))['deploymentBase'] as number | undefined);
      return links.filter((link) => link !== undefined);
    };
    let next = await ddi.step(message);
    expect(await offers()).toEqual([]);
    ddi.clock.advance(1_800);
    await offers();
    next = await ddi.step(next);
    const links = await offers();
    expect(links).toHaveLength(2);
    const [taken = 0, left = 0] = links;
    const owner = (id: number) => cabinets.find(({ external_id }) => external_id === byId.get(id));
    const byId = new Map((await ddi.executions(update.id)).map((e) => [e.id, e.external_id]));
    expect((await ddi.deployment(owner(taken) as never, taken)).statusCode).toBe(200);
    ddi.clock.advance(1_800);
    // It has closed: what was offered and not taken is not there any more, and who is at work goes on.
    expect((await ddi.deployment(owner(left) as never, left)).statusCode).toBe(404);
    expect(await offers()).toEqual([taken]);
  });
});

describe('a dry run', () => {
  it('says when: who goes now, whose window opens when, who waits for a budget', async () => {
    const tight = await givenZone({ percentage: 10 });
    const later = await givenZone({ window: { from: '12:00', until: '13:00' } });
    const never = await givenZone({ window: { from: '02:00', until: '03:00' } });
    const devices = [
      ...(await givenDevices(db, 20, { zone: tight })),
      ...(await givenDevices(db, 4, { zone: later })),
      ...(await givenDevices(db, 3, { zone: never })),
    ];
    const firmware = await givenFirmware(db);
    const request = (body: Record<string, unknown> = {}) =>
      updateRequest({ firmware_id: firmware.id, targets: { external_ids: devices }, ...body });
    const { when } = (await dryRunUpdate(service.deps, request(), undefined)) as { when: unknown };
    expect(when).toEqual({
      now: 2,
      later: [
        { zone: later, cause: 'WINDOW', opens_dt: addSeconds(startOfTime, 3_600), count: 4 },
        { zone: never, cause: 'WINDOW', opens_dt: addSeconds(startOfTime, 15 * 3_600), count: 3 },
        { zone: tight, cause: 'BUDGET', opens_dt: null, count: 18 },
      ],
    });
    // 12:30 in Moscow is in the window of one zone only, and of no other.
    const within = (await dryRunUpdate(service.deps, request({ window: { from: '12:00', until: '12:30' } }), undefined)) as {
      when: unknown;
    };
    expect(within.when).toEqual({
      now: 0,
      later: [
        { zone: tight, cause: 'WINDOW', opens_dt: addSeconds(startOfTime, 3_600), count: 20 },
        { zone: later, cause: 'WINDOW', opens_dt: addSeconds(startOfTime, 3_600), count: 4 },
        { zone: never, cause: 'WINDOW', opens_dt: null, count: 3 },
      ],
    });
    const anyhow = (await dryRunUpdate(service.deps, request({ ignore_window: true, comment: 'x' }), undefined)) as {
      when: { now: number };
    };
    expect(anyhow.when.now).toBe(9);
  });
});
