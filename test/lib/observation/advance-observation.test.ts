import { describe, expect, it } from 'vitest';
import { addDevices } from '../../../lib/fleet/change-queries.ts';
import { lookUpDevices } from '../../../lib/fleet/get-devices.ts';
import { NewDevice } from '../../../lib/fleet/new-device.ts';
import { registerDevices } from '../../../lib/fleet/register-devices.ts';
import { getObservation } from '../../../lib/observation/get-observation.ts';
import { BackendRefusal, BackendUnavailable } from '../../../lib/ports/backend.ts';
import { confirmUpdate } from '../../../lib/report/confirm-update.ts';
import { UnderWay } from '../../../lib/walk.ts';
import { createTestDatabase } from '../../support/database.ts';
import { actor, confirmation, givenDevices, givenFirmware, startOfTime } from '../../support/fixtures.ts';
import { untilWaiting } from '../../support/locks.ts';
import { createObservationWorld, inBackend } from '../../support/observations.ts';

const { db } = await createTestDatabase({ maxConnections: 10 });

const installedOf = async (external_id: string, kind: 'scooter' | 'cabinet' = 'scooter') =>
  (await lookUpDevices(db, kind, [external_id])).items[0]?.firmwares ?? [];
const historyOf = (external_id: string) =>
  db
    .selectFrom('device_firmware_history as h')
    .innerJoin('devices as d', 'd.id', 'h.device_id')
    .select(['h.reported_version', 'h.observation_id', 'h.source'])
    .where('d.external_id', '=', external_id)
    .orderBy('h.id')
    .execute();
const inSeconds = (seconds: number) => new Date(startOfTime.getTime() + seconds * 1000);

describe('an observation of devices named one by one', () => {
  it('asks in chunks of 1,000, each device once, and counts what became of it', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 2_500);
    world.backend.fleet.push(...external_ids.slice(0, 2_300).map((id) => inBackend(id, { vega_mcu: '1.0.0', vega_gsm: '2.0.0' })));
    const { id } = await world.request({ targets: { external_ids: [...external_ids, ...external_ids.slice(0, 7)] } });
    await world.run();

    expect(world.backend.questions.map(({ external_ids: asked }) => asked.length)).toEqual([1_000, 1_000, 500]);
    expect(world.backend.questions.flatMap(({ external_ids: asked }) => asked)).toEqual(external_ids);
    expect(await world.get(id)).toMatchObject({
      status: 'COMPLETED',
      progress: 1,
      devices_total: 2_500,
      devices_asked: 2_500,
      devices_answered: 2_300,
      devices_unknown: 200,
      devices_refused: 0,
      devices_added: 0,
      devices_not_registered: 0,
      reports_stored: 4_600,
      reports_unchanged: 0,
      reports_outdated: 0,
      reports_refused: 0,
      due_dt: null,
    });
  });

  it('tells the backend which call it is, the same for every try of one question and another for every other', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 3);
    const { id } = await world.request({ targets: { external_ids }, maximum_per_minute: 2 });
    world.backend.failure = new BackendUnavailable('backend answered 503');
    for (let n = 0; n < 2; n += 1) await world.deliver(world.next());
    world.backend.failure = undefined;
    await world.run();
    expect(world.backend.questions.map(({ call }) => [call.idempotencyKey, call.requestId])).toEqual([
      [`observation-${id}-0-scooter`, 'request-1'],
      [`observation-${id}-0-scooter`, 'request-1'],
      [`observation-${id}-0-scooter`, 'request-1'],
      [`observation-${id}-2-scooter`, 'request-1'],
    ]);
  });

  it('learns by the same path as a confirmation: what runs, since when, the catalogue, the history, and executions that are proven', async () => {
    const world = createObservationWorld(db);
    const firmware = await givenFirmware(db);
    const [external_id = ''] = await givenDevices(db, 1);
    await confirmUpdate(world.deps, [confirmation({ external_id, version: 'old', occurred_dt: inSeconds(-900) })]);
    const times = { observed_dt: inSeconds(-10), since_dt: inSeconds(-600) };
    world.backend.fleet.push(inBackend(external_id, { vega_mcu: firmware.version, vega_gsm: 'in no catalogue' }, times));
    const { id } = await world.request({ targets: { external_ids: [external_id] } });
    await world.run();

    expect(await installedOf(external_id)).toMatchObject([
      { hardware_type: 'vega_gsm', version: 'in no catalogue', firmware_id: null, firmware_update_dt: inSeconds(-600).toISOString() },
      {
        hardware_type: 'vega_mcu',
        firmware_id: firmware.id,
        version: firmware.version,
        firmware_update_dt: inSeconds(-600).toISOString(),
        observed_dt: inSeconds(-10).toISOString(),
        source: 'observation',
      },
    ]);
    expect(await historyOf(external_id)).toEqual([
      { reported_version: 'old', observation_id: null, source: 'confirmation' },
      { reported_version: firmware.version, observation_id: id, source: 'observation' },
      { reported_version: 'in no catalogue', observation_id: id, source: 'observation' },
    ]);
    expect((await getObservation(db, id, { limit: 50 }, startOfTime)).changes).toEqual({
      items: [
        {
          ...{ kind: 'scooter', external_id, hardware_type: 'vega_mcu' },
          ...{ from_version: 'old', to_version: firmware.version, observed_dt: inSeconds(-10) },
        },
        {
          ...{ kind: 'scooter', external_id, hardware_type: 'vega_gsm' },
          ...{ from_version: null, to_version: 'in no catalogue', observed_dt: inSeconds(-10) },
        },
      ],
      next_cursor: null,
    });
  });

  it('does not believe a poll more than the device itself: not at the same moment, and not about an earlier one', async () => {
    const world = createObservationWorld(db);
    const [same = '', earlier = '', later = ''] = await givenDevices(db, 3);
    for (const external_id of [same, earlier, later]) {
      await confirmUpdate(world.deps, [confirmation({ external_id, version: 'said', occurred_dt: startOfTime })]);
    }
    world.backend.fleet.push(
      inBackend(same, { vega_mcu: 'polled' }),
      inBackend(earlier, { vega_mcu: 'polled' }, { observed_dt: inSeconds(-1) }),
      inBackend(later, { vega_mcu: 'polled' }, { observed_dt: inSeconds(1) }),
    );
    const { id } = await world.request({ targets: { external_ids: [same, earlier, later] } });
    await world.run();
    expect((await installedOf(same))[0]).toMatchObject({ version: 'said', source: 'confirmation' });
    expect((await installedOf(earlier))[0]).toMatchObject({ version: 'said', source: 'confirmation' });
    expect((await installedOf(later))[0]).toMatchObject({ version: 'polled', source: 'observation' });
    expect(await world.get(id)).toMatchObject({ reports_stored: 1, reports_outdated: 2 });
  });

  it('changes nothing and adds no history when it finds what is known', async () => {
    const world = createObservationWorld(db);
    const [external_id = ''] = await givenDevices(db, 1);
    world.backend.fleet.push(inBackend(external_id));
    await world.request({ targets: { external_ids: [external_id] } });
    await world.run();
    const again = await world.request({ targets: { external_ids: [external_id] } });
    await world.run();
    expect(await world.get(again.id)).toMatchObject({ reports_stored: 0, reports_unchanged: 1 });
    expect((await getObservation(db, again.id, { limit: 50 }, startOfTime)).changes.items).toEqual([]);
    expect(await historyOf(external_id)).toHaveLength(1);
  });

  it('stores the good ones of an answer with bad ones, and counts the bad', async () => {
    const world = createObservationWorld(db);
    const [external_id = ''] = await givenDevices(db, 1);
    const good = inBackend(external_id).firmwares[0];
    if (!good) throw new Error('no firmware');
    world.backend.fleet.push({
      ...inBackend(external_id),
      firmwares: [
        { ...good, hardware_type: 'vega_gsm', version: 'a\u0000b' },
        { ...good, hardware_type: 'audio_lock', version: 'x'.repeat(65) },
        { ...good, hardware_type: 'audio_unlock', observed_dt: 'yesterday' },
        { ...good, hardware_type: 'audio_locate', observed_dt: inSeconds(400).toISOString() },
        { ...good, hardware_type: 'unheard_of' },
        { ...good, hardware_type: 'Not A Name' },
        { ...good, since_dt: 'some time ago' },
      ],
    });
    const { id } = await world.request({ targets: { external_ids: [external_id] } });
    await world.run();
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', devices_answered: 1, reports_stored: 2, reports_refused: 5 });
    expect(await installedOf(external_id)).toMatchObject([
      // A time ahead is taken as now.
      { hardware_type: 'audio_locate', version: '1.0.0', observed_dt: inSeconds(1).toISOString() },
      { hardware_type: 'vega_mcu', version: '1.0.0', firmware_update_dt: startOfTime.toISOString() },
    ]);
  });

  it('ignores what the backend says about devices that it was not asked about, and a second word about one', async () => {
    const world = createObservationWorld(db);
    const [asked = '', other = ''] = await givenDevices(db, 2);
    world.deps.backend.findVersions = async () => [inBackend(asked), inBackend(other), inBackend(asked, { vega_mcu: '9.9.9' })];
    const { id } = await world.request({ targets: { external_ids: [asked] }, add_unknown: true });
    await world.run();
    expect(await world.get(id)).toMatchObject({ devices_answered: 1, devices_unknown: 0, reports_stored: 1 });
    expect(await installedOf(asked)).toMatchObject([{ version: '1.0.0' }]);
    expect(await installedOf(other)).toEqual([]);
  });
});

describe('unknown devices', () => {
  it('are counted and left alone unless they are to be added', async () => {
    const world = createObservationWorld(db);
    world.backend.fleet.push(inBackend('N-1', { vega_mcu: '1.0.0', vega_gsm: '1.0.0' }), inBackend('N-2'));
    const { id } = await world.request({ targets: { external_ids: ['N-1', 'N-2', 'N-3'] } });
    await world.run();
    expect(await world.get(id)).toMatchObject({
      ...{ devices_answered: 2, devices_unknown: 1, devices_added: 0, devices_not_registered: 2 },
      ...{ reports_stored: 0, reports_refused: 0 },
    });
    expect((await lookUpDevices(db, 'scooter', ['N-1', 'N-2'])).items).toEqual([]);
  });

  it('are added with what they run when asked, those that the backend does not know are not, and known ones stay as they are', async () => {
    const world = createObservationWorld(db);
    const [known = ''] = await givenDevices(db, 1, { version: 1, channel: 'iot' });
    world.backend.fleet.push(
      inBackend('A-1', { vega_mcu: '1.0.0' }, { version: 2 }),
      inBackend('A-2', { vega_mcu: '1.0.0' }, { version: null }),
      inBackend(known, { vega_mcu: '1.0.0' }, { version: 2 }),
    );
    const { id } = await world.request({ targets: { external_ids: ['A-1', 'A-2', known, 'A-9'] }, add_unknown: true });
    await world.run();
    expect(await world.get(id)).toMatchObject({
      ...{ devices_answered: 3, devices_unknown: 1, devices_added: 2, devices_not_registered: 0, reports_stored: 3 },
    });
    expect((await lookUpDevices(db, 'scooter', ['A-1', 'A-2', known, 'A-9'])).items).toMatchObject([
      { external_id: 'A-1', version: 2, channel: 'telematics', firmwares: [{ version: '1.0.0' }] },
      { external_id: 'A-2', version: null, channel: 'telematics' },
      { external_id: known, version: 1, channel: 'iot', firmwares: [{ version: '1.0.0' }] },
    ]);
  });

  it('and a registration of the same devices take turns: neither waits for the other in a circle', async () => {
    const world = createObservationWorld(db);
    const [known = ''] = await givenDevices(db, 1, { version: 1 });
    world.backend.fleet.push(inBackend(known), inBackend('T-1'));
    const { id } = await world.request({ targets: { external_ids: [known, 'T-1'] }, add_unknown: true });
    const register = () =>
      registerDevices(
        world.deps,
        [
          NewDevice.parse({ kind: 'scooter', external_id: known, version: 2 }),
          ...['T-1', 'T-2'].map((external_id) => NewDevice.parse({ kind: 'scooter', external_id, version: 1 })),
        ],
        actor,
      );

    // Somebody who adds T-2 stops the registration when it has added T-1 and not yet locked the known device; meanwhile the observation comes.
    const blocker = await db.startTransaction().execute();
    await addDevices(blocker, [NewDevice.parse({ kind: 'scooter', external_id: 'T-2', version: 1 })], startOfTime);
    const registration = register();
    await untilWaiting(db, 1);
    const observation = world.deliver(world.next());
    await untilWaiting(db, 2);
    await blocker.rollback().execute();

    expect(await registration).toMatchObject({ created: 2, changed: 1 });
    await observation;
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', devices_answered: 2, reports_stored: 2 });
  });

  it('are not added with an unknown generation', async () => {
    const world = createObservationWorld(db);
    world.backend.fleet.push(inBackend('G-3', { vega_mcu: '1.0.0' }, { version: 3 }), inBackend('G-1'));
    const { id } = await world.request({ targets: { external_ids: ['G-3', 'G-1'] }, add_unknown: true });
    await world.run();
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', devices_answered: 2, devices_added: 1, devices_not_registered: 1 });
  });
});

describe('an import', () => {
  it('adds a fleet that the service has never seen, of every kind, in one call, page by page', async () => {
    const world = createObservationWorld(db);
    const scooters = Array.from({ length: 2_030 }, (_, n) => inBackend(`I-${n}`, { vega_mcu: '1.0.0' }, { version: 1 + (n % 2) }));
    const cabinets = Array.from({ length: 15 }, (_, n) => inBackend(`IC-${n}`, { cabinet: '1.0.0' }, { kind: 'cabinet' }));
    world.backend.fleet.push(...scooters, ...cabinets);
    const { id } = await world.request({ targets: { filter: {} }, add_unknown: true });
    expect(await world.get(id)).toMatchObject({ devices_total: null, progress: null });
    await world.run();
    expect(world.backend.questions.map(({ kind, external_ids }) => [kind, external_ids.length])).toEqual([
      ...[
        ['scooter', 1_000],
        ['scooter', 1_000],
        ['scooter', 30],
        ['cabinet', 15],
      ],
    ]);
    expect(await world.get(id)).toMatchObject({
      ...{ status: 'COMPLETED', progress: 1, devices_total: 2_045, devices_asked: 2_045, devices_answered: 2_045, devices_added: 2_045 },
      ...{ reports_stored: 2_045, reports_refused: 0 },
    });
    const { n } = await db
      .selectFrom('devices')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .where('external_id', 'like', 'I%-%')
      .executeTakeFirstOrThrow();
    expect(n).toBe(2_045);

    const again = await world.request({ targets: { filter: {} }, add_unknown: true });
    await world.run();
    expect(await world.get(again.id)).toMatchObject({ devices_added: 0, reports_stored: 0, reports_unchanged: 2_045 });
  });

  it('adds only the kind and the generation that were asked for', async () => {
    const world = createObservationWorld(db);
    world.backend.fleet.push(
      inBackend('K-1'),
      inBackend('K-2', { vega_mcu: '1.0.0' }, { version: 2 }),
      inBackend('K-3', { cabinet: '1.0.0' }, { kind: 'cabinet' }),
    );
    const { id } = await world.request({ targets: { filter: { kind: 'scooter', version: 2 } }, add_unknown: true });
    await world.run();
    expect(await world.get(id)).toMatchObject({ devices_asked: 1, devices_added: 1 });
    expect((await lookUpDevices(db, 'scooter', ['K-1', 'K-2'])).unknown).toEqual(['K-1']);
  });

  it('passes over devices whose id or kind is not valid here, and counts them', async () => {
    const world = createObservationWorld(db);
    world.backend.fleet.push(inBackend('with space'), inBackend('P-1'), inBackend('B-1', {}, { kind: 'bicycle' }));
    const { id } = await world.request({ targets: { filter: {} }, add_unknown: true });
    await world.run();
    expect(await world.get(id)).toMatchObject({ devices_asked: 3, devices_answered: 1, devices_refused: 2, devices_added: 1 });
  });

  it('ends as failed when the backend refuses to list its devices', async () => {
    const world = createObservationWorld(db);
    world.backend.failure = new BackendRefusal('backend answered 400');
    const { id } = await world.request({ targets: { filter: {} }, add_unknown: true });
    await world.run();
    expect(await world.get(id)).toMatchObject({
      ...{ status: 'FAILED', last_error: 'backend answered 400', due_dt: null, devices_asked: 0 },
      finished_dt: expect.any(Date),
    });
  });
});

describe('an observation by a filter', () => {
  it('asks those that match, and those that are registered meanwhile', async () => {
    const world = createObservationWorld(db);
    const old = await givenDevices(db, 3);
    await givenDevices(db, 1, { version: 2 });
    await confirmUpdate(
      world.deps,
      old.slice(0, 2).map((external_id) => confirmation({ external_id, version: 'wanted' })),
    );
    const running = { hardware_type: 'vega_mcu', version: 'wanted' };
    const { id } = await world.request({ targets: { filter: { kind: 'scooter', version: 1, running } }, maximum_per_minute: 1 });
    const [late = ''] = await givenDevices(db, 1);
    await confirmUpdate(world.deps, [confirmation({ external_id: late, version: 'wanted' })]);
    await world.run();
    expect(world.backend.questions.map(({ external_ids }) => external_ids)).toEqual([[old[0]], [old[1]], [late]]);
    expect(await world.get(id)).toMatchObject({ devices_total: 2, devices_asked: 3, progress: 1 });
  });

  it('asks about each kind in a question of its own', async () => {
    const world = createObservationWorld(db);
    const [scooter = ''] = await givenDevices(db, 1);
    const [cabinet = ''] = await givenDevices(db, 1, { kind: 'cabinet' });
    const { id } = await world.request({ targets: { filter: {} } });
    await world.run();
    const asked = Object.groupBy(world.backend.questions, ({ kind }) => kind);
    expect(asked['scooter']?.flatMap(({ external_ids }) => external_ids)).toContain(scooter);
    expect(asked['cabinet']?.flatMap(({ external_ids }) => external_ids)).toContain(cabinet);
    const { devices_total, devices_asked, devices_unknown } = await world.get(id);
    expect(devices_asked).toBe(devices_total);
    expect(devices_unknown).toBe(devices_asked);
  });

  it('completes at once when nobody matches, and asks nobody', async () => {
    const world = createObservationWorld(db);
    const { id } = await world.request({ targets: { filter: { running: { hardware_type: 'vega_mcu', version: 'of nobody' } } } });
    await world.run();
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', progress: 1, devices_total: 0, devices_asked: 0 });
    expect(world.backend.questions).toEqual([]);
  });
});

describe('while the backend is down', () => {
  it('waits longer and longer, at most 900 s, tells why, and goes on by itself with nothing lost', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 3);
    world.backend.fleet.push(...external_ids.map((external_id) => inBackend(external_id)));
    const { id } = await world.request({ targets: { external_ids } });
    world.backend.failure = new BackendUnavailable('backend answered 503');
    for (let n = 0; n < 11; n += 1) await world.deliver(world.next());
    expect(world.observations.delays.slice(1)).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
    expect(await world.get(id)).toMatchObject({
      ...{ status: 'IN_PROGRESS', devices_asked: 0, failures: 11, last_error: 'backend answered 503' },
      ...{ last_error_dt: world.clock.now(), due_dt: new Date(world.clock.now().getTime() + 900_000) },
    });

    world.backend.failure = undefined;
    await world.run();
    expect(await world.get(id)).toMatchObject({
      ...{ status: 'COMPLETED', devices_asked: 3, devices_answered: 3, reports_stored: 3, failures: 0 },
      last_error: 'backend answered 503',
    });
  });

  it.each([
    [120, 120],
    [31_536_000, 120],
    [2, 5],
  ])('leaves it alone for the %i s that it asks for: for %i s', async (retryAfterSeconds, delay) => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 1);
    await world.request({ targets: { external_ids } });
    world.backend.failure = new BackendUnavailable('backend answered 429', { retryAfterSeconds });
    await world.deliver(world.next());
    expect(world.observations.delays.at(-1)).toBe(delay);
  });

  it('waits at its page while devices are listed', async () => {
    const world = createObservationWorld(db);
    world.backend.fleet.push(...Array.from({ length: 1_001 }, (_, n) => inBackend(`W-${n}`)));
    const { id } = await world.request({ targets: { filter: {} }, add_unknown: true });
    await world.deliver(world.next());
    world.backend.failure = new BackendUnavailable('backend cannot be reached');
    for (let n = 0; n < 3; n += 1) await world.deliver(world.next());
    world.backend.failure = undefined;
    await world.run();
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', devices_asked: 1_001, devices_added: 1_001 });
  });

  it('gives up devices that the backend refuses to be asked about, and goes on with the others', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 3);
    world.backend.fleet.push(...external_ids.map((external_id) => inBackend(external_id)));
    const { id } = await world.request({ targets: { external_ids }, maximum_per_minute: 2 });
    world.backend.failure = new BackendRefusal('backend answered 400');
    await world.deliver(world.next());
    world.backend.failure = undefined;
    await world.run();
    expect(await world.get(id)).toMatchObject({
      ...{ status: 'COMPLETED', devices_asked: 3, devices_refused: 2, devices_answered: 1, devices_unknown: 0 },
      last_error: 'backend answered 400',
    });
  });
});

describe('a message that comes more than once', () => {
  it('asks once: a duplicate that arrives while the first is at work is handed back, a later one does nothing', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 2);
    const { id } = await world.request({ targets: { external_ids }, maximum_per_minute: 1 });
    const first = world.next();
    let duplicate: unknown;
    world.backend.duringQuestion = async () => {
      duplicate = await world.deliver(first).catch((error: unknown) => error);
    };
    await world.deliver(first);
    expect(duplicate).toBeInstanceOf(UnderWay);
    world.backend.duringQuestion = async () => {};
    await world.deliver(first);
    expect(world.backend.questions).toHaveLength(1);
    expect(world.observations.waiting).toHaveLength(1);
    await world.run();
    await world.deliver(first);
    expect(world.backend.questions).toHaveLength(2);
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', devices_asked: 2 });
  });

  it('asks once when ten come at one moment, and goes on with one chain', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 2);
    const { id } = await world.request({ targets: { external_ids }, maximum_per_minute: 1 });
    const first = world.next();
    await Promise.allSettled(Array.from({ length: 10 }, () => world.deliver(first)));
    expect(world.backend.questions).toHaveLength(1);
    await world.run();
    expect(world.backend.questions).toHaveLength(2);
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', devices_asked: 2, devices_unknown: 2 });
  });

  it('stores one answer when a call outlives its lease and the step is asked twice', async () => {
    const world = createObservationWorld(db);
    const [external_id = ''] = await givenDevices(db, 1);
    world.backend.fleet.push(inBackend(external_id));
    const { id } = await world.request({ targets: { external_ids: [external_id] } });
    const first = world.next();
    world.backend.duringQuestion = async () => {
      world.backend.duringQuestion = async () => {};
      world.clock.advance(61);
      await world.deliver(first);
    };
    await world.deliver(first);
    expect(world.backend.questions).toHaveLength(2);
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', devices_asked: 1, devices_answered: 1, reports_stored: 1 });
    expect(await historyOf(external_id)).toHaveLength(1);
  });

  it('changes nothing when its call fails after another one for the step was answered', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 3);
    const { id } = await world.request({ targets: { external_ids }, maximum_per_minute: 1 });
    const first = world.next();
    let answered: unknown;
    world.backend.duringQuestion = async () => {
      world.backend.duringQuestion = async () => {};
      world.clock.advance(61);
      await world.deliver(first);
      await world.deliver(world.next());
      answered = await world.get(id);
      throw new BackendUnavailable('backend did not answer in time');
    };
    await world.deliver(first);
    expect(await world.get(id)).toEqual(answered);
    await world.run();
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', devices_asked: 3, last_error: null });
  });

  it('asks no sooner than a minute after a call that died, which keeps the pace', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 2);
    await world.request({ targets: { external_ids }, maximum_per_minute: 1 });
    const first = world.next();
    world.backend.duringQuestion = () => Promise.reject(new Error('The function died'));
    await world.deliver(first).catch(() => {});
    world.backend.duringQuestion = async () => {};
    world.clock.advance(59);
    await expect(world.deliver(first)).rejects.toThrow(UnderWay);
    world.clock.advance(2);
    await world.deliver(first);
    expect(world.backend.questions).toHaveLength(2);
  });

  it('is put off when it comes before its time', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 2);
    await world.request({ targets: { external_ids }, maximum_per_minute: 1 });
    await world.deliver(world.next());
    const [second] = world.observations.waiting.splice(0);
    await world.deliver(second ?? { body: '' });
    expect(world.backend.questions).toHaveLength(1);
    expect(world.observations.delays.at(-1)).toBe(60);
    await world.run();
    expect(world.backend.questions).toHaveLength(2);
  });
});

describe('the pace', () => {
  it.each([1, 3, 700, 1_001, 1_500, 60_000])(
    'of %i a minute is not exceeded in any minute, and nearly reached',
    async (maximum_per_minute) => {
      const world = createObservationWorld(db);
      const external_ids = Array.from({ length: Math.min(maximum_per_minute * 3, 4_000) }, (_, n) => `pace-${n}`);
      const calls: { at: number; devices: number }[] = [];
      world.backend.duringQuestion = async (asked) => {
        calls.push({ at: world.clock.now().getTime(), devices: asked.length });
        world.clock.advance(0.3);
      };
      await world.request({ targets: { external_ids }, maximum_per_minute });
      await world.run();
      for (const { at } of calls) {
        const inMinute = calls.filter((call) => call.at >= at && call.at < at + 60_000).reduce((sum, call) => sum + call.devices, 0);
        expect(inMinute).toBeLessThanOrEqual(maximum_per_minute);
      }
      const minutes = ((calls.at(-1)?.at ?? 0) - (calls[0]?.at ?? 0)) / 60_000;
      const askedBeforeLast = external_ids.length - (calls.at(-1)?.devices ?? 0);
      expect(askedBeforeLast / minutes).toBeGreaterThan(maximum_per_minute * 0.75);
    },
  );
});
