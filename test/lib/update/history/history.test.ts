import { randomInt } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, describe, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { createDatabase, type Db } from '../../../../lib/db/database.ts';
import { daysOfWeek } from '../../../../lib/fleet/maintenance-window.ts';
import { failureTypes } from '../../../../lib/update/execution.ts';
import type { AdvanceMessage } from '../../../../lib/update/messages.ts';
import { findUpdateDetail } from '../../../../lib/update/update-detail-queries.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { givenDevices, givenFirmware, startOfTime } from '../../../support/fixtures.ts';
import { claim } from './claim.ts';
import { dependencies, type Fault, hinderStatement } from './faults.ts';
import { isFinal, type Window } from './fleet-model.ts';
import { type Memory, Model } from './history-model.ts';
import { answers, backendModes, conducts, type Report } from './simulated-fleet.ts';
import { backUp, forgetHistory, type Snapshot, takeSnapshot } from './snapshot.ts';
import { type ControlAction, type Deps, type DeviceFields, World, type WorldBackup } from './world.ts';

/** Of this many histories each is other; `.ci/run` plays 500, and `npm run test:soak` many more. */
const histories = Number(process.env['HISTORIES'] ?? 60);
/** With SEED from the message of a failure, the same histories again, one after the other. */
const seed = process.env['SEED'] ? Number(process.env['SEED']) : undefined;
/** With the path from the message of a failure besides, that history alone. */
const path = process.env['HISTORY_PATH'];
/**
 * The same histories in each run of CI, others in each soak, so that a fault that only some histories show is found by a soak, not by CI. Not from
 * the clock: soaks that are started together would play the same histories.
 */
const firstSeed = process.env['RANDOM_SEED'] === 'true' ? randomInt(2 ** 31) : 20_261_126;
/** Side by side, each in a database of its own: all updates of one database share the backend. */
const lanes = seed === undefined ? 3 : 1;

const deviceCount = 4;
/** Devices that are registered during a history, or never. */
const newcomers = ['N-1', 'N-2'];
/** The most events in a history. A soak has longer ones: more coincidences for the cost of one beginning and one end. */
const maxCommands = Number(process.env['COMMANDS'] ?? 16);
/** How many shorter histories are tried when one fails; 0 shows at once what has failed. */
const maximumShrinks = Number(process.env['SHRINKS'] ?? 200);

const setUpLane = async (): Promise<Deps & { start: Snapshot }> => {
  const { url } = await createTestDatabase();
  const db = createDatabase({ url, keepsPlans: true, maxConnections: 5, onStatement: hinderStatement });
  afterAll(() => db.destroy());
  const firmwares = [];
  for (const hardware_type of ['vega_mcu', 'vega_gsm']) firmwares.push(await givenFirmware(db, { hardware_type }));
  firmwares.splice(1, 0, await givenFirmware(db, { revisions: ['B1', 'B2'] }));
  // Of the devices of a zone every second one may be out of service.
  const zone = { name: 'north', time_zone: 'Europe/Moscow', maximum_unavailable_percentage: 50, created_dt: startOfTime };
  await db.insertInto('zones').values(zone).execute();
  const external_ids = [];
  for (const place of [{ revision: 'B1' }, {}, { zone: zone.name, revision: 'B1' }, { zone: zone.name, revision: 'B2' }]) {
    external_ids.push(...(await givenDevices(db, 1, place)));
  }
  const deps = { db, firmwares, external_ids: [...external_ids, ...newcomers], pristine: await backUp(db) };
  return { ...deps, start: await takeSnapshot(db) };
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
    const done = this.#happen(world, model);
    // Events outside of the service change no row.
    if (!done) return;
    await done;
    await check({ model, world });
  }

  toString(): string {
    return this.#name;
  }
}

const check = async ({ model, world }: Setting) => {
  const snapshot = await takeSnapshot(world.deps.db, model.lastLine);
  model.check(world.facts, snapshot, world.now());
  return snapshot;
};

const event = <T>(
  name: string,
  what: fc.Arbitrary<T>,
  happen: (world: World, what: T, model: Model) => Promise<void> | void,
): fc.Arbitrary<Event> =>
  what.map((chosen) => new Event(`${name} ${JSON.stringify(chosen)}`, (world, model) => happen(world, chosen, model)));

const pick = <T>(items: readonly T[], n: number): T | undefined => items[n % Math.max(1, items.length)];
const pickUpdate = (world: World, n: number): number | undefined => pick([...world.updateIds].reverse(), n);

const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(null) },
  { weight: 2, arbitrary: fc.record({ crashBefore: fc.nat(16) }) },
  { weight: 1, arbitrary: fc.record({ sendStores: fc.nat(1) }) },
);
/** null most of the time. */
const rarely = <T>(arbitrary: fc.Arbitrary<T>) => fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
const deviceNumber = fc.oneof(
  { weight: 4, arbitrary: fc.nat(deviceCount - 1) },
  { weight: 1, arbitrary: fc.nat(deviceCount + newcomers.length - 1) },
);

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

/** The devices of zone north, those of no zone, those with a tag, or those of a revision. */
const meant = fc.constantFrom({ zone: 'north' }, { zone: 'none' }, { tags: { all: ['a'] } }, { revision: 'B1' });

const tags = fc.constantFrom<string[]>([], ['a']);
const revision = fc.constantFrom('B1', 'B2', null);
const place = fc.record({ zone: fc.constantFrom('north', null), tags, revision }, { requiredKeys: [] });

const toContinuous = (
  world: World,
  { devices: _, unknown: __, startsIn: ___, ...what }: typeof request extends fc.Arbitrary<infer R> ? R : never,
  filter: object,
  replaces_update_id: number | null,
) => ({
  ...toRequest(world, { ...what, devices: [], unknown: null, startsIn: null }),
  ...{ targets: { filter }, continuous: true, replaces_update_id },
});

/** Newcomers, or devices that are known. */
const registered = fc.uniqueArray(
  fc.record({ device: fc.nat(deviceCount + newcomers.length - 1), place }).map(({ device, place: given }) => ({ device, ...given })),
  { selector: ({ device }) => device, minLength: 1, maxLength: 3 },
);
/** Not its zone: if it is asked at this moment, more than the budget would be at work in the other zone. */
const amidDeliveries: fc.Arbitrary<DeviceFields> = fc.oneof(
  revision.map((given) => ({ revision: given })),
  tags.map((given) => ({ tags: given })),
  fc.boolean().map((retired) => ({ retired })),
);

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
  event('move', fc.tuple(deviceNumber, fc.constantFrom('north', null), fault), async (world, [n, zone, hindered], model) => {
    const external_id = world.deps.external_ids[n] ?? '';
    if (!model.isOutOfService(external_id)) await world.changeDevice(external_id, { zone }, hindered);
  }),
  event('correct the revision', fc.tuple(deviceNumber, revision, fault), (world, [n, given, hindered]) =>
    world.changeDevice(world.deps.external_ids[n] ?? '', { revision: given }, hindered),
  ),
  event(
    'correct what a firmware fits',
    fc.tuple(fc.nat(2), fc.constantFrom<string[] | null>(null, ['B1'], ['B1', 'B2']), fault),
    (world, [n, revisions, hindered]) => world.editFirmware(world.deps.firmwares[n]?.id ?? 0, { revisions }, hindered),
  ),
  event('register', fc.tuple(registered, fault), (world, [devices, hindered], model) => {
    const placed = devices.map(({ device, ...given }) => ({ external_id: world.deps.external_ids[device] ?? '', ...given }));
    // As above.
    const sent = placed.map(({ zone, ...given }) =>
      zone === undefined || model.isOutOfService(given.external_id) ? given : { zone, ...given },
    );
    return world.register(sent, hindered);
  }),
  event('change amid deliveries', fc.tuple(deviceNumber, amidDeliveries, fault), async (world, [n, change, hindered]) => {
    const external_id = world.deps.external_ids[n] ?? '';
    await Promise.all([
      ...world.messages.slice(0, 3).map((message) => world.deliver(message)),
      world.changeDevice(external_id, change, hindered),
    ]);
  }),
  event('register amid deliveries', fc.tuple(registered, fault), async (world, [devices, hindered]) => {
    const sent = devices.map(({ device, zone: _, ...given }) => ({ external_id: world.deps.external_ids[device] ?? '', ...given }));
    await Promise.all([...world.messages.slice(0, 3).map((message) => world.deliver(message)), world.register(sent, hindered)]);
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
    await Promise.all([...world.messages.slice(0, 3).map((message) => world.deliver(message)), world.control(id, action, hindered, false)]);
  }),
  event('retry', fc.tuple(fc.nat(2), fault), async (world, [n, hindered]) => {
    const id = pickUpdate(world, n);
    if (id !== undefined) await world.retry(id, hindered);
  }),
  event('withdraw', fc.tuple(fc.nat(2), fc.nat(4), fault), async (world, [n, luck, hindered]) => {
    const firmware = world.deps.firmwares[n];
    if (firmware && luck === 0) await world.editFirmware(firmware.id, { status: 'withdrawn' }, hindered);
  }),
];

/** A change that comes when all is quiet: a device is registered or changed, or a firmware fits all from now on. */
const lateChange = fc.oneof(
  fc.record({
    ...{ device: fc.nat(deviceCount + newcomers.length - 1), retired: fc.constantFrom(undefined, false) },
    ...{ zone: fc.constantFrom('north', null), tags, revision },
  }),
  fc.record({ firmware: fc.nat(2) }),
);
type LateChange = typeof lateChange extends fc.Arbitrary<infer C> ? C : never;

/** The devices, an update to begin with, what happens then, and a last change. */
const history = fc.tuple(
  fc.array(conduct, { minLength: deviceCount + newcomers.length, maxLength: deviceCount + newcomers.length }),
  request,
  fc.commands(events, { maxCommands, size: 'max' }),
  lateChange,
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
    await world.control(id, isRunning ? 'resume' : status === 'PAUSED' ? 'pause' : 'cancel', null, false);
  }
};

/** Running updates that superseded a paused one and wait for a device of it: it may be at work, because an answer is missing. */
const listHeld = async (db: Db): Promise<number[]> => {
  const rows = await db
    .selectFrom('update_claims as c')
    .innerJoin('updates as u', 'u.id', 'c.update_id')
    .innerJoin('update_executions as e', (join) =>
      join.onRef('e.device_id', '=', 'c.device_id').onRef('e.hardware_type', '=', 'c.hardware_type'),
    )
    .innerJoin('updates as other', 'other.id', 'e.update_id')
    .select('u.id')
    .distinct()
    .where('u.status', '=', 'IN_PROGRESS')
    .where('e.finished_dt', 'is', null)
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

/** Devices of an open update that were to be taken in when all was quiet are taken in within two minutes (G12). */
const takeInLate = async (setting: Setting, change: LateChange): Promise<void> => {
  const { model, world } = setting;
  const { external_ids, firmwares } = world.deps;
  if ('firmware' in change) await world.editFirmware(firmwares[change.firmware]?.id ?? 0, { revisions: null }, null);
  else {
    const { device, retired, zone, ...given } = change;
    const external_id = external_ids[device] ?? '';
    await world.register([model.isOutOfService(external_id) ? { external_id, ...given } : { external_id, zone, ...given }], null);
    if (retired !== undefined) await world.changeDevice(external_id, { retired }, null);
  }
  const untaken = model.listUntaken(await check(setting));
  if (untaken.length === 0) return;
  const until = addSeconds(world.now(), 120);
  while (world.now() < until) {
    await world.deliverDue();
    world.goOn(1);
  }
  const still = model
    .listUntaken(await check(setting))
    .filter(({ update, device, tries }) =>
      untaken.some(
        (one) => one.update.id === update.id && one.device.external_id === device.external_id && one.tries.length === tries.length,
      ),
    );
  claim(still.length === 0, 'G12: a device that comes to match a continuous update is taken in within two minutes', change, still);
};

const end = async (setting: Setting, change: LateChange): Promise<void> => {
  const { world } = setting;
  // A stop rule may pause an update again; an admin gives up then.
  for (const action of ['resume', 'cancel'] as const) {
    const paused = await settle(setting);
    for (const id of paused) await world.control(id, action, null, false);
  }
  await settle(setting);
  setting.model.checkTakenIn(await check(setting));
  await takeInLate(setting, change);
  for (const { id, continuous, finished_dt } of (await check(setting)).updates) {
    if (continuous && !finished_dt) await world.control(id, 'cancel', null, false);
  }
  await settle(setting);

  const { db } = world.deps;
  const before = await check(setting);
  claim(world.messages.length === 0, 'the queues are empty in the end', world.messages);
  setting.model.checkTold(before);
  for (const { id, planned, continuous, supersede } of before.updates) {
    // What it was to take over may have become impossible meanwhile, or a younger update has claimed it.
    const { ELIGIBLE = 0, ELIGIBLE_UNKNOWN_VERSION = 0, ALREADY_ON_TARGET = 0, UPDATE_IN_FLIGHT = 0 } = planned as Record<string, number>;
    const mine = before.executions.filter(({ update_id }) => update_id === id);
    const all = ELIGIBLE + ELIGIBLE_UNKNOWN_VERSION + ALREADY_ON_TARGET;
    const [least, most] = supersede ? [0, all + UPDATE_IN_FLIGHT] : [all, all];
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
const promised = ({ updates, lines, ...rest }: Snapshot) => ({
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
      const property = fc.asyncProperty(fc.limitShrink(history, maximumShrinks), async ([fleet, first, commands, change]) => {
        await forgetHistory(deps.db, deps.pristine);
        const world = new World(deps);
        for (const [n, how] of fleet.entries()) Object.assign(world.fleet.devices[n] ?? {}, how);
        const setting = { model: new Model(deps, deps.start), world };
        await world.request(toRequest(world, first), null);
        await check(setting);
        await fc.asyncModelRun(() => ({ model: setting.model, real: world }), commands);
        await end(setting, change);
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
