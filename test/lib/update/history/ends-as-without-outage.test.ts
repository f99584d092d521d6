import * as fc from 'fast-check';
import { afterAll, describe, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { createDatabase } from '../../../../lib/db/database.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { givenDevices, givenFirmware } from '../../../support/fixtures.ts';
import { claim } from './claim.ts';
import { dependencies, hinderStatement } from './faults.ts';
import { conducts } from './simulated-fleet.ts';
import { backUp, forgetHistory, takeSnapshot } from './snapshot.ts';
import { type Deps, World } from './world.ts';

/**
 * An update ends as it would have ended without outages, whatever was away, for however long, and however often. Each example is played twice,
 * undisturbed and disturbed.
 */

const examples = Math.ceil(Number(process.env['HISTORIES'] ?? 80) / 20);
/** The same examples in each run of CI, others in each soak. */
const fixedSeed = process.env['RANDOM_SEED'] === 'true' ? undefined : 20_261_126;
const seed = process.env['SEED'] ? Number(process.env['SEED']) : fixedSeed;
const deviceCount = 4;

const setUp = async (devices: number): Promise<Deps> => {
  const { url } = await createTestDatabase();
  const db = createDatabase({ url, keepsPlans: true, maxConnections: 5, onStatement: hinderStatement });
  afterAll(() => db.destroy());
  const firmwares = [await givenFirmware(db)];
  const external_ids = await givenDevices(db, devices);
  return { db, firmwares, external_ids, pristine: await backUp(db) };
};
const small = await setUp(deviceCount);

const device = fc.record({
  conduct: fc.constantFrom(...conducts, 'installs' as const, 'installs silently' as const),
  answer: fc.constantFrom('accepted' as const, 'accepted' as const, 'accepted' as const, 'rejected' as const),
  seconds: fc.constantFrom(5, 60, 150),
  namesExecution: fc.boolean(),
});

const request = fc.record({
  rollout: fc.record({ maximum_per_minute: fc.constantFrom(2, 6, 600), maximum_in_progress: fc.constantFrom(null, 2) }),
  canary: fc.constantFrom(null, null, { size: 1, success_percentage: 50, minimum_wait_minutes: 1 }),
  abort: fc.constantFrom([], [{ failure_types: ['ALL'], threshold_percentage: 60, minimum_executions: 2, action: 'ABORT' }]),
  timeouts: fc.record({ queued_minutes: fc.constant(60), in_progress_minutes: fc.constantFrom(5, 10) }),
  retry: fc.record({ number_of_retries: fc.constantFrom(0, 0, 1) }),
});

const outage = fc.record({
  what: fc.constantFrom(...dependencies, 'backend' as const, 'functions' as const),
  after: fc.constantFrom(0, 3, 20, 70, 200, 500),
  seconds: fc.constantFrom(90, 1_200, 7_200, 86_400),
});
type Outage = typeof outage extends fc.Arbitrary<infer O> ? O : never;

type Example = {
  devices: (typeof device extends fc.Arbitrary<infer D> ? D : never)[];
  request: typeof request extends fc.Arbitrary<infer R> ? R : never;
};

/** Plays an update to its end. Dependencies are away for the given times, and everything that needs them goes on trying. */
const play = async (deps: Deps, { devices, request: settings }: Example, outages: readonly Outage[]) => {
  const { db, external_ids } = deps;
  await forgetHistory(db, deps.pristine);
  const world = new World(deps);
  for (const [n, how] of devices.entries()) Object.assign(world.fleet.devices[n] ?? {}, how);
  await world.request({ ...settings, firmware_id: deps.firmwares[0]?.id, targets: { external_ids }, comment: '' }, null);
  let began = world.now();
  const coming = [...outages];
  for (let rounds = 0; ; rounds += 1) {
    const [next] = coming;
    if (next && world.now() >= addSeconds(began, next.after)) {
      coming.shift();
      await undergo(world, next);
      began = world.now();
    }
    await world.deliverDue();
    if (world.messages.length === 0 && world.reports.length === 0 && coming.length === 0) break;
    claim(rounds < 2_000, 'an update ends after every outage', await takeSnapshot(db), world.messages);
    world.goOn(5);
  }
  const { executions, updates, known } = await takeSnapshot(db);
  const commands = world.facts.flatMap((fact) => (fact.kind === 'called' ? fact.commands : []));
  const ends = {
    updates: updates.map(({ status }) => status),
    devices: executions.map(({ external_id, status, reason, retries, late_success_dt }) => ({
      ...{ external_id, status, reason, retries },
      isLate: late_success_dt !== null,
    })),
    runs: known.map(({ external_id, reported_version }) => `${external_id} ${reported_version}`),
  };
  return { ends, commands };
};

const undergo = async (world: World, { what, seconds }: Outage): Promise<void> => {
  const until = addSeconds(world.now(), seconds);
  if (what === 'functions') {
    // Nobody runs any of them; messages wait.
    world.clock.advance(seconds);
    return;
  }
  if (what === 'backend') world.fleet.mode = 'unavailable';
  else world.away.add(what);
  while (world.now() < until) {
    await world.deliverDue();
    world.goOn(Math.max(10, seconds / 40));
  }
  world.away.clear();
  world.fleet.mode = 'up';
};

describe('an update', () => {
  it('ends as it would have ended without the outages', { timeout: 120_000 + examples * 20_000 }, async () => {
    const example = fc.record({ devices: fc.array(device, { minLength: deviceCount, maxLength: deviceCount }), request });
    const property = fc.asyncProperty(example, fc.array(outage, { minLength: 1, maxLength: 3 }), async (what, outages) => {
      const { ends: undisturbed } = await play(small, what, []);
      // Whether a rule stops an update may depend on the order in which devices end. A rule that cannot stop it in any order must not stop it
      // after an outage either.
      const failures = undisturbed.devices.filter(({ status }) => status !== 'SUCCEEDED').length;
      const smallest = Math.min(...what.request.abort.map(({ minimum_executions }) => minimum_executions));
      fc.pre(undisturbed.updates[0] !== 'ABORTED' && failures < smallest);
      const { ends: disturbed } = await play(small, what, outages);
      claim(JSON.stringify(disturbed) === JSON.stringify(undisturbed), 'it ends as without the outages', undisturbed, disturbed);
    });
    await fc.assert(property, { numRuns: examples, ...(seed !== undefined && { seed }) });
  });
});

/** Minutes of work: the soak has it. */
describe.runIf(process.env['SOAK'] === 'true')('an update of 5,000', () => {
  it('ends as without outages when each thing that it needs is away for two hours', { timeout: 1_800_000 }, async () => {
    const count = 5_000;
    const large = await setUp(count);
    const conductOf = (n: number) => (n % 50 === 0 ? 'fails' : n % 100 === 1 ? 'installs silently' : 'installs');
    const what: Example = {
      devices: Array.from({ length: count }, (_, n) => ({
        ...{ conduct: conductOf(n), answer: n % 500 === 2 ? ('rejected' as const) : ('accepted' as const) },
        ...{ seconds: 60, namesExecution: n % 2 === 0 },
      })),
      request: {
        rollout: { maximum_per_minute: 600, maximum_in_progress: null },
        canary: null,
        abort: [],
        timeouts: { queued_minutes: 60, in_progress_minutes: 10 },
        retry: { number_of_retries: 0 },
      },
    };
    const away = [...dependencies, 'backend' as const, 'functions' as const];
    const outages = away.map((dependency): Outage => ({ what: dependency, after: 70, seconds: 7_200 }));
    const undisturbed = await play(large, what, []);
    const disturbed = await play(large, what, outages);
    const perDevice = ({ commands }: typeof disturbed) => commands.length / count;
    const distinct = new Set(disturbed.commands.map(({ execution_id, attempt }) => `${execution_id} ${attempt}`)).size;
    const sameEnds = disturbed.ends.devices.filter((end, i) => JSON.stringify(end) === JSON.stringify(undisturbed.ends.devices[i])).length;
    console.log(
      `${count} devices, ${away.join(', ')} away for two hours each: ${perDevice(disturbed)} commands a device (${perDevice(undisturbed)} ` +
        `without), ${distinct} different ones; ${sameEnds} of ${count} end as without`,
    );
    claim(distinct === count, 'each device is commanded once, as the backend counts', distinct);
    claim(perDevice(disturbed) <= 1.2, 'hardly a command is sent twice', perDevice(disturbed));
    claim(JSON.stringify(disturbed.ends) === JSON.stringify(undisturbed.ends), 'it ends as without the outages', sameEnds);
  });
});
