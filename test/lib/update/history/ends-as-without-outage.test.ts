import * as fc from 'fast-check';
import { afterAll, describe, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { createDatabase } from '../../../../lib/db/database.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { givenDevices, givenFirmware } from '../../../support/fixtures.ts';
import { dependencies, hinderStatement } from './faults.ts';
import { claim } from './history-model.ts';
import { conducts } from './simulated-fleet.ts';
import { backUp, forgetHistory, takeSnapshot } from './snapshot.ts';
import { type Deps, World } from './world.ts';

/**
 * An update ends as it would have ended without an outage, whatever was away, however long, and how often: each example is played twice,
 * undisturbed and disturbed.
 */

const examples = Math.ceil(Number(process.env['HISTORIES'] ?? 60) / 20);
/** The same examples in each run of CI, others in each soak. */
const fixedSeed = process.env['RANDOM_SEED'] === 'true' ? undefined : 20_261_126;
const seed = process.env['SEED'] ? Number(process.env['SEED']) : fixedSeed;
const deviceCount = 4;

const { url } = await createTestDatabase();
const db = createDatabase({ url, maxConnections: 5, onStatement: hinderStatement });
afterAll(() => db.destroy());
const firmware = await givenFirmware(db);
const external_ids = await givenDevices(db, deviceCount);
const deps: Deps = { db, firmwares: [firmware], external_ids, pristine: await backUp(db) };

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

/** Until everything has ended; what is away is away for its time, and everybody goes on trying. */
const play = async ({ devices, request: settings }: Example, outages: readonly Outage[]) => {
  await forgetHistory(db, deps.pristine);
  const world = new World(deps);
  for (const [n, how] of devices.entries()) Object.assign(world.fleet.devices[n] ?? {}, how);
  await world.request({ ...settings, firmware_id: firmware.id, targets: { external_ids }, comment: '' }, null);
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
  return {
    updates: updates.map(({ status }) => status),
    devices: executions.map(({ external_id, status, reason, retries, late_success_dt }) => ({
      ...{ external_id, status, reason, retries },
      isLate: late_success_dt !== null,
    })),
    runs: known.map(({ external_id, reported_version }) => `${external_id} ${reported_version}`),
  };
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
      const undisturbed = await play(what, []);
      // Whether a rule stops an update may depend on who is first, and so on the moment. One that cannot stop it, however the ends follow
      // each other, must not stop it after an outage either.
      const failures = undisturbed.devices.filter(({ status }) => status !== 'SUCCEEDED').length;
      const smallest = Math.min(...what.request.abort.map(({ minimum_executions }) => minimum_executions));
      fc.pre(undisturbed.updates[0] !== 'ABORTED' && failures < smallest);
      const disturbed = await play(what, outages);
      claim(JSON.stringify(disturbed) === JSON.stringify(undisturbed), 'it ends as without the outages', undisturbed, disturbed);
    });
    await fc.assert(property, { numRuns: examples, ...(seed !== undefined && { seed }) });
  });
});
