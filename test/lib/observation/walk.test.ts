import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDatabase } from '../../../lib/db/database.ts';
import { ObservationRequest } from '../../../lib/observation/observation.ts';
import { requestObservation } from '../../../lib/observation/request-observation.ts';
import { BackendUnavailable } from '../../../lib/ports/backend.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenDevices } from '../../support/fixtures.ts';
import { createObservationWorld, inBackend } from '../../support/observations.ts';

const { db, url } = await createTestDatabase();

type World = ReturnType<typeof createObservationWorld>;

/**
 * The dependencies of a function that dies at its nth contact with the world: before a statement, before and after a message is sent,
 * before and after the backend is asked. What it has begun is rolled back by the end of its connection.
 */
const createMortal = ({ deps }: World, contacts: number) => {
  let left = contacts;
  const live = () => {
    left -= 1;
    if (left < 0) throw new Error('The function died');
  };
  const around = async <T>(work: () => Promise<T>): Promise<T> => {
    live();
    const result = await work();
    live();
    return result;
  };
  const mortalDb = createDatabase({ url, maxConnections: 1, onStatement: live });
  return {
    deps: {
      ...deps,
      db: mortalDb,
      observations: { send: (...args: Parameters<typeof deps.observations.send>) => around(() => deps.observations.send(...args)) },
      backend: {
        findVersions: (...args: Parameters<typeof deps.backend.findVersions>) => around(() => deps.backend.findVersions(...args)),
        listDevices: (...args: Parameters<typeof deps.backend.listDevices>) => around(() => deps.backend.listDevices(...args)),
      },
    },
    hasDied: () => left < 0,
    bury: () => mortalDb.destroy(),
  };
};

/** Runs a function that dies at its nth contact. True: it did not live that long. */
const dieAt = async (world: World, contacts: number, work: (deps: ReturnType<typeof createMortal>['deps']) => Promise<unknown>) => {
  const mortal = createMortal(world, contacts);
  await work(mortal.deps).catch(() => {});
  await mortal.bury();
  return mortal.hasDied();
};

const given = async (count: number) => {
  const world = createObservationWorld(db);
  const external_ids = await givenDevices(db, count);
  world.backend.fleet.push(...external_ids.map((external_id) => inBackend(external_id)));
  return { world, external_ids };
};

const historyRows = async (id: number) =>
  (await db.selectFrom('device_firmware_history').select('id').where('observation_id', '=', id).execute()).length;

const expectComplete = async ({ world, id, external_ids }: { world: World; id: number; external_ids: string[] }) => {
  const all = external_ids.length;
  expect(await world.get(id)).toMatchObject({
    ...{ status: 'COMPLETED', devices_asked: all, devices_answered: all, devices_unknown: 0, reports_stored: all, reports_unchanged: 0 },
  });
  expect(await historyRows(id)).toBe(all);
  expect(world.observations.waiting).toEqual([]);
};

describe('a function that dies', () => {
  it('while it takes the request: what was not promised leaves nothing behind, and what was stored is carried out', async () => {
    const { world, external_ids } = await given(1);
    const before = (await db.selectFrom('observations').select('id').execute()).length;
    const input = {
      ...ObservationRequest.parse({ targets: { external_ids } }),
      idempotency_key: undefined,
      created_by: 'x',
      request_id: 'y',
    };
    let contacts = 0;
    while (await dieAt(world, contacts, (deps) => requestObservation(deps, input))) contacts += 1;
    expect(contacts).toBeGreaterThan(4);
    await world.run();
    const observations = await db.selectFrom('observations').select('status').orderBy('id').execute();
    // The one that lived.
    expect(observations.slice(before).map(({ status }) => status)).toEqual(['COMPLETED']);
  });

  it('at any point of a step: it is done again, the backend is asked again only if its answer was lost, and the chain stays one', async () => {
    for (let contacts = 0; ; contacts += 1) {
      const { world, external_ids } = await given(2);
      const { id } = await world.request({ targets: { external_ids }, maximum_per_minute: 1 });
      const message = world.next();
      const hasDied = await dieAt(world, contacts, (deps) => world.deliver(message, deps));
      if (hasDied) world.observations.handBack(message);
      await world.run();
      await expectComplete({ world, id, external_ids });
      expect(world.backend.questions.length).toBeLessThanOrEqual(hasDied ? 3 : 2);
      if (!hasDied) {
        expect(contacts).toBeGreaterThan(10);
        return;
      }
    }
  });

  it('at any point of an import adds every device once', async () => {
    for (let contacts = 0; ; contacts += 1) {
      const world = createObservationWorld(db);
      world.backend.fleet.push(...['a', 'b'].map((letter) => inBackend(`M-${contacts}-${letter}`)));
      const { id } = await world.request({ targets: { filter: {} }, add_unknown: true, maximum_per_minute: 1 });
      const message = world.next();
      const hasDied = await dieAt(world, contacts, (deps) => world.deliver(message, deps));
      if (hasDied) world.observations.handBack(message);
      await world.run();
      expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', devices_asked: 2, devices_added: 2, reports_stored: 2 });
      expect(await historyRows(id)).toBe(2);
      if (!hasDied) return;
    }
  });
});

describe('a message without a row', () => {
  it('waits for the commit, and goes away when it cannot come any more', async () => {
    const world = createObservationWorld(db);
    await world.observations.send([{ observation_id: 2_000_000_000, step: 0, created_dt: world.clock.now() }]);
    await world.run();
    expect(world.observations.delays).toEqual([0, ...Array.from({ length: 30 }, () => 2)]);
  });
});

describe('any history of duplicates, deaths, lost sends and outages', () => {
  const Event = fc.oneof(
    { weight: 3, arbitrary: fc.record({ type: fc.constant('deliver' as const) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('repeat' as const), which: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('die' as const), contacts: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('twice' as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('outage' as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('loseSend' as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('wait' as const), seconds: fc.nat(200) }) },
  );

  it('ends with every device asked, each answer stored once, one chain, and no minute above the pace', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(Event, { maxLength: 25 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 3 }),
        async (events, count, pace) => {
          const { world, external_ids } = await given(count);
          const asked: { at: number; devices: number }[] = [];
          world.backend.duringQuestion = async (ids) => {
            asked.push({ at: world.clock.now().getTime(), devices: ids.length });
          };
          const { id } = await world.request({ targets: { external_ids }, maximum_per_minute: pace });
          const seen: ReturnType<World['next']>[] = [];
          const receive = () => {
            const message = world.observations.receive();
            if (message) seen.push(message);
            return message;
          };
          const deliverOrHandBack = async (message: ReturnType<typeof receive>) => {
            if (message) await world.deliver(message).catch(() => world.observations.handBack(message));
          };
          for (const event of events) {
            if (event.type === 'deliver') await deliverOrHandBack(receive());
            // A duplicate: nobody waits for it to come again.
            if (event.type === 'repeat' && seen.length > 0)
              await world.deliver(seen[event.which % seen.length] ?? { body: '' }).catch(() => {});
            if (event.type === 'wait') world.clock.advance(event.seconds);
            if (event.type === 'loseSend') {
              world.observations.failures = 1;
              await deliverOrHandBack(receive());
              world.observations.failures = 0;
            }
            if (event.type === 'outage') {
              world.backend.failure = new BackendUnavailable('backend answered 503');
              await deliverOrHandBack(receive());
              world.backend.failure = undefined;
            }
            if (event.type === 'twice') {
              const message = receive();
              await Promise.all([deliverOrHandBack(message), message && world.deliver(message).catch(() => {})]);
            }
            if (event.type === 'die') {
              const message = receive();
              if (message) {
                await dieAt(world, event.contacts, (deps) => world.deliver(message, deps));
                world.observations.handBack(message);
              }
            }
          }
          await world.run();
          await expectComplete({ world, id, external_ids });
          for (const { at } of asked) {
            const inMinute = asked.filter((call) => call.at >= at && call.at < at + 60_000).reduce((sum, { devices }) => sum + devices, 0);
            expect(inMinute).toBeLessThanOrEqual(pace);
          }
          const troubles = events.filter(({ type }) => type === 'die' || type === 'outage').length;
          expect(asked.length).toBeLessThanOrEqual(Math.ceil(count / pace) + troubles);
        },
      ),
      { numRuns: 100 },
    );
  });
});
