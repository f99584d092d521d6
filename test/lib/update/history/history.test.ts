import * as fc from 'fast-check';
import { afterAll, describe, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { createDatabase, type Db } from '../../../../lib/db/database.ts';
import { daysOfWeek } from '../../../../lib/fleet/maintenance-window.ts';
import { failureTypes } from '../../../../lib/update/execution.ts';
import type { AdvanceMessage } from '../../../../lib/update/messages.ts';
import { outOfService } from '../../../../lib/update/predicates.ts';
import { findUpdateDetail } from '../../../../lib/update/update-detail-queries.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { givenDevices, givenFirmware, startOfTime } from '../../../support/fixtures.ts';
import { dependencies, type Fault, hinderStatement } from './faults.ts';
import { claim, isFinal, type Memory, Model } from './history-model.ts';
import { answers, backendModes, conducts, type Report } from './simulated-fleet.ts';
import { backUp, forgetHistory, type Snapshot, takeSnapshot } from './snapshot.ts';
import { type ControlAction, type Deps, type Window, World, type WorldBackup } from './world.ts';

/** Of this many histories each is other; `.ci/run` plays 500, and `npm run test:soak` many more. */
const histories = Number(process.env['HISTORIES'] ?? 60);
/** With SEED from the message of a failure, the same histories again, one after the other. */
const seed = process.env['SEED'] ? Number(process.env['SEED']) : undefined;
/** With the path from the message of a failure besides, that history alone. */
const path = process.env['HISTORY_PATH'];
/** The same histories in each run of CI, others in each soak, so that a fault that only some histories show is found by a soak, not by CI. */
const firstSeed = process.env['RANDOM_SEED'] === 'true' ? Date.now() : 20_261_126;
/** Side by side, each in a database of its own: all updates of one database share the backend. */
const lanes = seed === undefined ? 3 : 1;

const deviceCount = 4;
/** The most events in a history. A soak has longer ones: more coincidences for the cost of one beginning and one end. */
const maxCommands = Number(process.env['COMMANDS'] ?? 16);
/** How many shorter histories are tried when one fails; 0 shows at once what has failed. */
const maximumShrinks = Number(process.env['SHRINKS'] ?? 200);

const setUpLane = async (): Promise<Deps> => {
  const { url } = await createTestDatabase();
  const db = createDatabase({ url, keepsPlans: true, maxConnections: 5, onStatement: hinderStatement });
  afterAll(() => db.destroy());
  const firmwares = [];
  for (const hardware_type of ['vega_mcu', 'vega_mcu', 'vega_gsm']) firmwares.push(await givenFirmware(db, { hardware_type }));
  // Of the devices of a zone every second one may be out of service.
  const zone = { name: 'north', time_zone: 'Europe/Moscow', maximum_unavailable_percentage: 50, created_dt: startOfTime };
  await db.insertInto('zones').values(zone).execute();
  const external_ids = [...(await givenDevices(db, deviceCount / 2)), ...(await givenDevices(db, deviceCount / 2, { zone: zone.name }))];
  return { db, firmwares, external_ids, pristine: await backUp(db) };
};
const allDeps = await Promise.all(Array.from({ length: lanes }, setUpLane));

interface Setting {
  model: Model;
  world: World;
}

/** One event, after which all guarantees must hold. */
class Event implements fc.AsyncCommand<Model, World> {
  readonly #name: string;
  readonly #happen: (world: World, model: Model) => Promise<void> | void;

  constructor(name: string, happen: (world: World, model: Model) => Promise<void> | void) {
    this.#name = name;
    this.#happen = happen;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, world: World): Promise<void> {
    const from = world.facts.length;
    const done = this.#happen(world, model);
    // Events outside of the service change no row.
    if (!done) return;
    await done;
    await check({ model, world });
    await checkWindows(world, from);
  }

  toString(): string {
    return this.#name;
  }
}

const check = async ({ model, world }: Setting) => {
  const snapshot = await takeSnapshot(world.deps.db);
  model.check(world.facts, snapshot, world.now());
  await checkBudget(world);
  return snapshot;
};

/** Devices of the zone that were out of service when it was last checked. */
const wereOut = new WeakMap<World, ReadonlySet<number>>();

/**
 * G10, of all updates together: half of the devices that stand in the zone, at least one. Where a device has left the zone meanwhile, those at
 * work may be more; but no other one is asked then.
 */
const checkBudget = async (world: World) => {
  const { db } = world.deps;
  const { n } = await db
    .selectFrom('devices')
    .select(({ fn }) => fn.countAll<number>().as('n'))
    .where('zone', '=', 'north')
    .where('retired_dt', 'is', null)
    .executeTakeFirstOrThrow();
  const out = await db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .select('e.device_id')
    .distinct()
    .where('d.zone', '=', 'north')
    .where(outOfService)
    .execute();
  const before = wereOut.get(world) ?? new Set();
  const isLess = out.every(({ device_id }) => before.has(device_id));
  claim(isLess || out.length <= Math.max(1, Math.floor(n / 2)), `G10: ${out.length} of ${n} devices of zone north are out of service`);
  wereOut.set(world, new Set(out.map(({ device_id }) => device_id)));
};

/** By hand: minutes of a day in which the windows of histories are open. */
const minuteOf = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
const isOpenAt = (window: Window | null, at: Date, hoursAhead: number): boolean => {
  if (!window) return true;
  const minute = (at.getUTCHours() * 60 + at.getUTCMinutes() + hoursAhead * 60) % 1_440;
  const [from, until] = [minuteOf(window.from), minuteOf(window.until)];
  return from < until ? minute >= from && minute < until : minute >= from || minute < until;
};

/** G11: nobody was asked outside the windows that his zone, and his update, had at that moment. Moscow is three hours ahead all year. */
const checkWindows = async (world: World, from: number) => {
  const calls = world.facts.slice(from).filter((fact) => fact.kind === 'called');
  if (calls.length === 0) return;
  const { db } = world.deps;
  const north = await db.selectFrom('zones').select('maintenance_window').where('name', '=', 'north').executeTakeFirst();
  for (const { at, commands } of calls) {
    const asked = await db
      .selectFrom('update_executions as e')
      .innerJoin('updates as u', 'u.id', 'e.update_id')
      .innerJoin('devices as d', 'd.id', 'e.device_id')
      .select(['d.external_id', 'd.zone', 'u.window'])
      .where('e.id', 'in', commands.length > 0 ? commands.map(({ execution_id }) => execution_id) : [0])
      .execute();
    for (const { external_id, zone, window } of asked) {
      const ofZone = zone === 'north' ? (north?.maintenance_window as Window | null | undefined) : null;
      const isOpen = isOpenAt(ofZone ?? null, at, 3) && isOpenAt(window as Window | null, at, zone === 'north' ? 3 : 0);
      claim(isOpen, 'G11: a device is asked only inside its windows', { external_id, zone, window, ofZone, at });
    }
  }
};

const event = <T>(
  name: string,
  what: fc.Arbitrary<T>,
  happen: (world: World, what: T, model: Model) => Promise<void> | void,
): fc.Arbitrary<Event> =>
  what.map((chosen) => new Event(`${name} ${JSON.stringify(chosen)}`, (world, model) => happen(world, chosen, model)));

const isOut = async (world: World, external_id: string): Promise<boolean> => {
  const row = await world.deps.db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .select('e.id')
    .where('d.external_id', '=', external_id)
    .where(outOfService)
    .executeTakeFirst();
  return row !== undefined;
};

const pick = <T>(items: readonly T[], n: number): T | undefined => items[n % Math.max(1, items.length)];
const pickUpdate = (world: World, n: number): number | undefined => pick([...world.updateIds].reverse(), n);

const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(null) },
  { weight: 2, arbitrary: fc.record({ crashBefore: fc.nat(16) }) },
  { weight: 1, arbitrary: fc.record({ sendStores: fc.nat(1) }) },
);
/** null most of the time. */
const rarely = <T>(arbitrary: fc.Arbitrary<T>) => fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
const deviceNumber = fc.nat(deviceCount - 1);

const rollout = fc.record({
  maximum_per_minute: fc.constantFrom(2, 6, 60, 600),
  maximum_in_progress: fc.constantFrom(null, null, 1, 2),
  exponential: rarely(
    fc.record({ base_per_minute: fc.constantFrom(1, 2), increment_factor: fc.constant(2), after_succeeded: fc.constant(1) }),
  ),
});

const request = fc.record({
  firmware: fc.nat(2),
  devices: fc.uniqueArray(deviceNumber, { minLength: 1, maxLength: deviceCount }),
  unknown: rarely(fc.constant('unknown')),
  rollout,
  canary: fc.option(
    fc.record({
      size: fc.constantFrom(1, 2),
      success_percentage: fc.constantFrom(50, 50, 100),
      minimum_wait_minutes: fc.constantFrom(0, 0, 0.5),
    }),
    { freq: 2, nil: null },
  ),
  abort: fc.array(
    fc.record({
      failure_types: fc.constantFrom(['ALL'], ['FAILED'], ['TIMED_OUT', 'REJECTED']),
      threshold_percentage: fc.constantFrom(30, 60),
      minimum_executions: fc.constantFrom(1, 2),
      action: fc.constantFrom('ABORT', 'PAUSE'),
    }),
    { maxLength: 1 },
  ),
  timeouts: fc.record({ queued_minutes: fc.constantFrom(2, 5), in_progress_minutes: fc.constantFrom(2, 4) }),
  retry: fc.record({
    number_of_retries: fc.constantFrom(0, 0, 1, 2),
    failure_types: fc.constantFrom(['ALL'], [...failureTypes].slice(0, 1)),
  }),
  startsIn: rarely(fc.constantFrom(10, 90)),
  window: rarely(rarely(fc.constantFrom<Window>({ from: '08:00', until: '08:03' }, { from: '11:02', until: '08:00' }))),
  allow_downgrade: fc.boolean(),
  supersede: fc.constantFrom(false, false, true),
});

const toRequest = (
  world: World,
  { firmware, devices, unknown, startsIn, window, ...rest }: typeof request extends fc.Arbitrary<infer R> ? R : never,
) => {
  const external_ids = devices.map((n) => world.deps.external_ids[n]);
  return {
    ...rest,
    firmware_id: world.deps.firmwares[firmware]?.id,
    targets: { external_ids: [...external_ids, ...(unknown ? [unknown] : [])] },
    window: window && { ...window, days: [...daysOfWeek] },
    start_dt: startsIn === null ? null : addSeconds(world.now(), startsIn).toISOString(),
    comment: 'history',
  };
};

/** The devices of zone north, those of no zone, or those with a tag. */
const meant = fc.constantFrom({ zone: 'north' }, { zone: 'none' }, { tags: { all: ['a'] } });

const toContinuous = (
  world: World,
  { devices: _, unknown: __, startsIn: ___, ...what }: typeof request extends fc.Arbitrary<infer R> ? R : never,
  filter: object,
  replaces_update_id: number | null,
) => ({
  ...toRequest(world, { ...what, devices: [], unknown: null, startsIn: null }),
  ...{ targets: { filter }, continuous: true, replaces_update_id },
});

const conduct = fc.record({
  conduct: fc.constantFrom(...conducts, 'installs' as const, 'installs' as const, 'installs silently' as const),
  answer: fc.constantFrom(...answers, ...Array.from({ length: 5 }, () => 'accepted' as const)),
  seconds: fc.constantFrom(0, 10, 10, 100, 400),
  namesExecution: fc.boolean(),
  clockAhead: fc.constantFrom(0, 0, 0, 0, 290, -3_600, 86_400, 'never set' as const),
});

const controlAction: fc.Arbitrary<ControlAction> = fc.oneof(
  fc.constantFrom<ControlAction>('pause', 'resume', 'resume', 'cancel', 'force-cancel'),
  rollout.map((pace) => ({ pace })),
);

/** A report that no command has led to, also about the past or the near future. */
const claimed = fc.record({
  device: deviceNumber,
  firmware: fc.nat(2),
  status: fc.constantFrom<Report['status']>('SUCCEEDED', 'SUCCEEDED', 'FAILED', 'REJECTED', 'IN_PROGRESS'),
  secondsAgo: fc.constantFrom(-400, -30, 0, 0, 20, 600, 100_000, 1_700_000_000),
});

const outageSeconds = fc.constantFrom(40, 600, 2_400, 7_200, 86_400);

/** The latest one of each world. */
const backups = new WeakMap<World, { world: WorldBackup; memory: Memory }>();

const events = [
  event('request', fc.tuple(request, fault), (world, [what, hindered]) => world.request(toRequest(world, what), hindered)),
  event('request two at once', fc.tuple(request, request, fault), async (world, [one, other, hindered]) => {
    await Promise.all([world.request(toRequest(world, one), hindered, false), world.request(toRequest(world, other), null, false)]);
  }),
  ...Array.from({ length: 2 }, () =>
    event('request a continuous one', fc.tuple(request, meant, rarely(fc.nat(2)), fault), (world, [what, filter, n, hindered]) =>
      world.request(toContinuous(world, what, filter, n === null ? null : (pickUpdate(world, n) ?? null)), hindered),
    ),
  ),
  event('tag', fc.tuple(deviceNumber, fc.boolean(), fault), (world, [n, isTagged, hindered]) =>
    world.changeDevice(world.deps.external_ids[n] ?? '', { tags: isTagged ? ['a'] : [] }, hindered),
  ),
  // One that is at work may be moved as well, but then more than the budget are at work in its new zone.
  event('move', fc.tuple(deviceNumber, fc.constantFrom('north', null), fault), async (world, [n, zone, hindered]) => {
    const external_id = world.deps.external_ids[n] ?? '';
    if (!(await isOut(world, external_id))) await world.changeDevice(external_id, { zone }, hindered);
  }),
  event('retire', fc.tuple(deviceNumber, fc.boolean(), fault), (world, [n, retired, hindered]) =>
    world.changeDevice(world.deps.external_ids[n] ?? '', { retired }, hindered),
  ),
  event(
    'a window',
    fc.tuple(fc.constantFrom(null, { from: '11:00', until: '11:04' }, { from: '23:00', until: '11:02' }), fault),
    (world, [window, hindered]) => world.changeWindow('north', window, hindered),
  ),
  // What usually happens: everything comes when it is due.
  ...Array.from({ length: 3 }, () =>
    event(
      'go on',
      fc.tuple(fc.integer({ min: 1, max: 6 }), fc.constantFrom(1, 5, 20), fault),
      async (world, [times, seconds, hindered]) => {
        for (let n = 0; n < times; n += 1) {
          await world.deliverDue(n === times - 1 ? hindered : null);
          world.goOn(seconds);
        }
      },
    ),
  ),
  event('deliver out of turn', fc.tuple(fc.nat(20), fault), async (world, [n, hindered]) => {
    const message = pick(world.messages, n);
    if (message) await world.deliver(message, [hindered]);
  }),
  event('deliver twice at once', fc.tuple(fc.nat(20), fault, fault), async (world, [n, ...faults]) => {
    const message = pick(world.messages, n);
    if (message) await world.deliver(message, faults);
  }),
  event('deliver all at once', fault, async (world, hindered) => {
    await Promise.all([...world.messages].map((message, n) => world.deliver(message, [n === 0 ? hindered : null])));
  }),
  event('deliver what is gone', fc.tuple(fc.nat(30), fault), async (world, [n, hindered]) => {
    const message = pick([...world.gone].reverse(), n);
    if (message) await world.deliver({ ...message, receives: 0 }, [hindered]);
  }),
  event('time passes', fc.constantFrom(1, 7, 30, 60, 200), (world, seconds) => world.clock.advance(seconds)),
  event('time jumps', fc.constantFrom(1_800, 7_200, 86_400), (world, seconds) => world.clock.advance(seconds)),
  // Everything that depends on it goes on trying meanwhile.
  event('an outage', fc.tuple(fc.constantFrom(...dependencies, 'backend' as const), outageSeconds), async (world, [what, seconds]) => {
    const { mode } = world.fleet;
    if (what === 'backend') world.fleet.mode = 'unavailable';
    else world.away.add(what);
    const until = addSeconds(world.now(), seconds);
    while (world.now() < until) {
      await world.deliverDue();
      world.goOn(seconds / 8);
    }
    world.away.clear();
    if (what === 'backend') world.fleet.mode = mode;
  }),
  event('goes away', fc.constantFrom(...dependencies), (world, what) => {
    world.away.add(what);
  }),
  event('everything is there', fc.constant(null), (world) => world.away.clear()),
  event(
    'messages are lost',
    fc.constantFrom('advances' as const, 'dispatches' as const, 'verifications' as const, 'all' as const),
    (world, queue) => world.loseMessages(queue),
  ),
  event('a backup', fc.constant(null), async (world, _, model) => {
    backups.set(world, { world: await world.backUp(), memory: model.remember() });
  }),
  event('a restore', fc.constant(null), async (world, _, model) => {
    const backup = backups.get(world);
    // Each goes further than the one before: there is room for fourteen.
    if (!backup || world.restores === 10) return;
    await world.restore(backup.world);
    model.goBack(backup.memory, world.facts);
  }),
  event('the backend is', fc.constantFrom(...backendModes, 'up' as const), (world, mode) => {
    world.fleet.mode = mode;
  }),
  event('a device', fc.tuple(deviceNumber, conduct), (world, [device, how]) => {
    Object.assign(world.fleet.devices[device] ?? {}, how);
  }),
  event('reports come late', fc.constantFrom(30, 300), (world, seconds) => {
    for (const report of world.reports) report.due = addSeconds(report.due, seconds);
  }),
  event('a report comes early', fc.tuple(fc.nat(5), fault), async (world, [n, hindered]) => {
    const early = pick(world.reports, n);
    if (!early || early.report.occurred_dt > world.now()) return;
    world.reports.splice(world.reports.indexOf(early), 1);
    await world.confirm([early.report], hindered);
  }),
  event('a report comes again', fc.tuple(fc.nat(10), fc.boolean()), async (world, [n, isTwice]) => {
    const again = pick([...world.arrived].reverse(), n);
    if (again) await Promise.all([world.confirm([again]), ...(isTwice ? [world.confirm([again])] : [])]);
  }),
  event('a device claims', fc.tuple(claimed, fault), (world, [{ device, firmware, status, secondsAgo }, hindered]) => {
    const { version = '', hardware_type = '' } = world.deps.firmwares[firmware] ?? {};
    const external_id = world.deps.external_ids[device] ?? '';
    return world.confirm([{ external_id, hardware_type, version, status, occurred_dt: addSeconds(world.now(), -secondsAgo) }], hindered);
  }),
  ...Array.from({ length: 2 }, () =>
    event('control', fc.tuple(fc.nat(2), controlAction, fault), async (world, [n, action, hindered]) => {
      const id = pickUpdate(world, n);
      if (id !== undefined) await world.control(id, action, hindered);
    }),
  ),
  event('control amid deliveries', fc.tuple(fc.nat(2), controlAction, fault), async (world, [n, action, hindered]) => {
    const id = pickUpdate(world, n);
    if (id === undefined) return;
    await Promise.all([...world.messages.slice(0, 3).map((message) => world.deliver(message)), world.control(id, action, hindered)]);
  }),
  event('retry', fc.tuple(fc.nat(2), fault), async (world, [n, hindered]) => {
    const id = pickUpdate(world, n);
    if (id !== undefined) await world.retry(id, hindered);
  }),
  event('withdraw', fc.tuple(fc.nat(2), fc.nat(4)), async (world, [n, luck]) => {
    const firmware = world.deps.firmwares[n];
    if (firmware && luck === 0) await world.withdraw(firmware.id);
  }),
];

/** The devices, an update to begin with, and what happens then. */
const history = fc.tuple(
  fc.array(conduct, { minLength: deviceCount, maxLength: deviceCount }),
  request,
  fc.commands(events, { maxCommands, size: 'max' }),
);

/** What an admin does if a walk has stopped because its message was lost, or events are left to tell: any control makes it go on. */
const revive = async (world: World, { updates, executions }: Snapshot): Promise<void> => {
  const walking = new Set(world.messages.filter(({ queue }) => queue === 'advances').map(({ body }) => (body as AdvanceMessage).update_id));
  for (const { id, status, finished_dt, due_dt, told } of updates) {
    // It rests.
    if (!finished_dt && due_dt === null) continue;
    const areTold = executions.every((e) => e.update_id !== id || e.told_status === e.status);
    if (walking.has(id) || (finished_dt && told === `${status} finished` && areTold)) continue;
    const isRunning = status === 'IN_PROGRESS' || status === 'SCHEDULED';
    await world.control(id, isRunning ? 'resume' : status === 'PAUSED' ? 'pause' : 'cancel', null);
  }
};

/** Running updates that superseded a paused one and wait for a device of it: it may be at work, because an answer is missing. */
const listHeld = async (db: Db): Promise<number[]> => {
  const rows = await db
    .selectFrom('update_candidates as c')
    .innerJoin('updates as u', 'u.id', 'c.update_id')
    .innerJoin('updates as other', 'other.id', 'c.blocked_by_update_id')
    .select('u.id')
    .distinct()
    .where('u.status', '=', 'IN_PROGRESS')
    // A continuous update that rests has no step that is due.
    .where('u.due_dt', 'is not', null)
    .where('other.status', '=', 'PAUSED')
    .execute();
  return rows.map(({ id }) => id);
};

/** Without further faults, lets time pass until only paused updates are left, which wait for the admin; answers their ids. */
const settle = async (setting: Setting): Promise<number[]> => {
  const { model, world } = setting;
  world.fleet.mode = 'up';
  world.away.clear();
  await world.changeWindow('north', null, null);
  const deadlines = new Map<number, Date>();
  for (let rounds = 0; ; rounds += 1) {
    await world.deliverDue();
    const snapshot = await check(setting);
    await revive(world, snapshot);
    const held = await listHeld(world.deps.db);
    const running = snapshot.updates.filter(
      ({ id, status, finished_dt, due_dt }) => !finished_dt && status !== 'PAUSED' && due_dt !== null && !held.includes(id),
    );
    for (const { id, continuous, status } of running) {
      if (continuous && (status === 'IN_PROGRESS' || status === 'SCHEDULED')) continue;
      const deadline = deadlines.get(id) ?? model.deadlineOf(id, snapshot, world.now());
      deadlines.set(id, deadline);
      claim(world.now() <= deadline, 'an update ends within its deadlines', { id, deadline, now: world.now() }, snapshot, world.messages);
    }
    const paused = snapshot.updates.filter(({ status, finished_dt }) => !finished_dt && status === 'PAUSED').map(({ id }) => id);
    const isAtWork = snapshot.executions.some((e) => paused.includes(e.update_id) && !isFinal(e) && e.dispatch_id !== null);
    const walking = snapshot.updates.filter(({ id, due_dt }) => paused.includes(id) && due_dt !== null).map(({ id }) => id);
    // The walk of a paused update goes on, and it is one; so does that of an update that waits for devices of a paused one. A continuous one rests.
    const walks = world.messages.map(({ queue, body }) => (queue === 'advances' ? (body as AdvanceMessage).update_id : queue));
    const isQuiet = JSON.stringify(walks.sort()) === JSON.stringify([...walking, ...held].sort());
    if (running.length === 0 && !isAtWork && isQuiet && world.reports.length === 0) return paused;
    claim(rounds < 300, 'it becomes quiet', snapshot.updates, snapshot.executions, world.messages, world.reports);
    world.goOn(60);
  }
};

const end = async (setting: Setting): Promise<void> => {
  const { world } = setting;
  // A stop rule may pause an update again; an admin gives up then.
  for (const action of ['resume', 'cancel'] as const) {
    const paused = await settle(setting);
    for (const id of paused) await world.control(id, action, null);
  }
  await settle(setting);
  setting.model.checkTakenIn(await check(setting));
  for (const { id, continuous, finished_dt } of (await check(setting)).updates) {
    if (continuous && !finished_dt) await world.control(id, 'cancel', null);
  }
  await settle(setting);

  const { db } = world.deps;
  const before = await check(setting);
  claim(world.messages.length === 0, 'the queues are empty in the end', world.messages);
  setting.model.checkTold(before);
  for (const { id, planned, continuous, supersede } of before.updates) {
    const { ELIGIBLE = 0, ELIGIBLE_UNKNOWN_VERSION = 0, ALREADY_ON_TARGET = 0, UPDATE_IN_FLIGHT = 0 } = planned as Record<string, number>;
    const mine = before.executions.filter(({ update_id }) => update_id === id);
    const least = ELIGIBLE + ELIGIBLE_UNKNOWN_VERSION + ALREADY_ON_TARGET;
    const most = least + (supersede ? UPDATE_IN_FLIGHT : 0);
    const isPlanned = continuous || (mine.length >= least && mine.length <= most);
    claim(isPlanned, 'as many executions as planned, and those taken in later', planned, mine);
    const detail = await findUpdateDetail(db, id, world.now());
    claim(detail?.finished_dt instanceof Date && detail.progress === 1, 'every update ends', detail, mine);
    const sum = (numbers: number[] = []) => numbers.reduce((all, n) => all + n, 0);
    claim(sum(Object.values(detail?.counts ?? {})) === mine.length, 'counts add up', detail, mine);
    claim(sum(detail?.reasons.map(({ count }) => count)) === mine.length, 'reasons add up', detail, mine);
    const late = mine.filter(({ late_success_dt }) => late_success_dt !== null).length;
    claim(detail?.late_successes === late, 'late successes add up', detail, mine);
  }

  // When all is over, every message and report comes once more. Nobody waits any more for requests that were never committed.
  world.clock.advance(61);
  const calls = world.facts.length;
  const failures = world.realFailures.length;
  for (const message of world.gone.slice(-15)) await world.deliver({ ...message, receives: 0 });
  const told = world.facts.slice(calls).filter(({ kind }) => kind === 'called');
  // A failure that names no execution is about the latest one, which may be another one than before. And if a device's clock was wrong, nobody
  // can tell whether a report is repeated or new.
  const liars = new Set(world.lied);
  // Nor is a report under way for more than a day: an older one counts as new, from a clock that was put back.
  const oldest = addSeconds(world.now(), -86_400);
  const clear = world.arrived.filter(
    ({ external_id, status, execution_id, occurred_dt }) =>
      !liars.has(external_id) && occurred_dt >= oldest && (status === 'SUCCEEDED' || execution_id !== undefined),
  );
  for (const report of clear.slice(-20)) await world.confirm([report]);
  const after = await check(setting);
  // Unless the database itself has failed at this moment: then the message is sent anew, as it should be.
  const isDisturbed = world.realFailures.length > failures;
  claim(told.length === 0 && (isDisturbed || world.messages.length === 0), 'old messages lead to nothing', told, world.messages);
  claim(JSON.stringify(promised(after)) === JSON.stringify(promised(before)), 'old messages and reports change nothing', before, after);
};

/** Everything except what only the walk itself reads: a lost message that comes when all is over still counts as a step. */
const promised = ({ updates, ...rest }: Snapshot) => ({
  ...rest,
  updates: updates.map(({ next_step, sent_step, stepped_dt, ...update }) => update),
});

describe('histories of updates', () => {
  it.each(allDeps.map((deps, lane) => ({ deps, lane })))(
    'keep every promise, whatever is lost, repeated, late or dies: lane $lane',
    { timeout: 120_000 + (histories + maximumShrinks) * 6_000, concurrent: true },
    async ({ deps, lane }) => {
      const laneSeed = seed ?? (firstSeed + lane * 7_919) % 2 ** 31;
      const numRuns = Math.ceil(histories / lanes);
      console.log(`lane ${lane}: SEED=${laneSeed}, ${numRuns} histories`);
      let operations = 0;
      const property = fc.asyncProperty(fc.limitShrink(history, maximumShrinks), async ([fleet, first, commands]) => {
        await forgetHistory(deps.db, deps.pristine);
        const world = new World(deps);
        for (const [n, how] of fleet.entries()) Object.assign(world.fleet.devices[n] ?? {}, how);
        const setting = { model: new Model(deps), world };
        await world.request(toRequest(world, first), null);
        await check(setting);
        await fc.asyncModelRun(() => ({ model: setting.model, real: world }), commands);
        await end(setting);
        operations += world.operations;
      });
      const details = await fc.check(property, { numRuns, seed: laneSeed, ...(path && { path }) });
      console.log(`lane ${lane}: ${operations} operations`);
      if (!details.failed) return;
      const what = details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance);
      const again = `Again: SEED=${laneSeed} HISTORY_PATH=${details.counterexamplePath} COMMANDS=${maxCommands}`;
      const violation = `${what}\n${again}\n${fc.defaultReportMessage(details)}`;
      // At once: the other lanes of a soak go on for an hour.
      console.log(violation);
      throw new Error(violation);
    },
  );
});
