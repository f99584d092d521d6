import { beforeEach, describe, expect, it } from 'vitest';
import { addSeconds, secondsBetween } from '../../../../lib/clock.ts';
import { openGate } from '../../../../lib/update/backend-gate.ts';
import { changePace, pauseUpdate, resumeUpdate } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { actor, givenDevices, givenFirmware, startOfTime } from '../../../support/fixtures.ts';
import { inFull, seeds } from '../../../support/seeds.ts';
import { createSimulatedWalk } from '../../../support/simulated-walk.ts';
import { createRandom } from '../../../support/update-service.ts';

const { db } = await createTestDatabase({ maxConnections: 20 });

beforeEach(async () => {
  await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
});

/** An update of new devices without a canary or stop rules, and its walk. */
const given = async (devices: number, rollout: Record<string, unknown>, settings: Record<string, unknown> = {}) => {
  const walk = createSimulatedWalk(db);
  const firmware = await givenFirmware(db);
  const external_ids = await givenDevices(db, devices);
  const { id } = await walk.request({ firmware_id: firmware.id, targets: { external_ids }, canary: null, abort: [], rollout, ...settings });
  return { ...walk, id, firmware, external_ids };
};

type Given = Awaited<ReturnType<typeof given>>;

const expectAllSucceeded = async ({ find, id, messagesLeft, deadLetters }: Given, devices: number): Promise<void> => {
  expect(await find(id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: devices } });
  expect({ left: messagesLeft(), dead: deadLetters() }).toEqual({ left: 0, dead: 0 });
};

/** Messages twice and late, and slow answers of the backend. */
const disturb = ({ deps, backend }: Given, seed: number): void => {
  const random = createRandom(seed);
  for (const queue of [deps.advances, deps.dispatches]) {
    queue.isDuplicated = () => random.chance(0.3);
    queue.copyDelay = () => (random.chance(0.5) ? 0 : random.between(0, 40));
  }
  backend.latencySeconds = () => (random.chance(0.1) ? random.between(1, 10) : 0.2);
};

/** The most devices that were asked and had not reported. */
const mostAtWork = async ({ executions, id }: Given): Promise<number> => {
  const moments = (await executions(id)).flatMap(({ sent_dt, finished_dt }) => [
    { at: (sent_dt as Date).getTime(), by: 1 },
    { at: (finished_dt as Date).getTime(), by: -1 },
  ]);
  let atWork = 0;
  let most = 0;
  for (const { by } of moments.sort((a, b) => a.at - b.at || a.by - b.by)) {
    atWork += by;
    most = Math.max(most, atWork);
  }
  return most;
};

describe('maximum_per_minute', () => {
  it.each([
    // The window is the shortest part of a minute that reaches 95 % of the pace.
    { perMinute: 7, devices: 20, windowSeconds: 60, inWindow: 7 },
    // So many devices that they fill more than a minute, or more than three windows.
    { perMinute: 60, devices: 90, windowSeconds: 5, inWindow: 5 },
    { perMinute: 600, devices: 700, windowSeconds: 5, inWindow: 50 },
    { perMinute: 6_000, devices: 1_800, windowSeconds: 5, inWindow: 500 },
  ])('$perMinute is never exceeded, and kept up', async ({ perMinute, devices, windowSeconds, inWindow }) => {
    const walk = await given(devices, { maximum_per_minute: perMinute });
    await walk.run();
    await expectAllSucceeded(walk, devices);
    expect(walk.backend.commands).toHaveLength(devices);
    expect(walk.backend.mostWithin(windowSeconds)).toBeLessThanOrEqual(inWindow);
    expect(walk.backend.mostWithin(60)).toBeLessThanOrEqual(perMinute);
    const last = secondsBetween(startOfTime, walk.backend.arrivals.at(-1)?.at ?? startOfTime);
    // A step a second: a window takes a second longer than it has to.
    expect(last).toBeLessThanOrEqual(Math.ceil(devices / inWindow) * (windowSeconds + 1));
  });

  it.each(seeds(5))('is never exceeded while messages come twice and late and answers are slow (seed %i)', async (seed) => {
    const devices = inFull ? 600 : 400;
    const walk = await given(devices, { maximum_per_minute: 600 });
    disturb(walk, seed);
    await walk.run();
    await expectAllSucceeded(walk, devices);
    expect(walk.backend.mostWithin(5)).toBeLessThanOrEqual(50);
    expect(walk.backend.mostWithin(60)).toBeLessThanOrEqual(600);
    // No device was asked twice.
    expect(walk.backend.commands).toHaveLength(devices);
  });

  it('can be lowered and raised while the update runs: what was sent before counts, too', async () => {
    const walk = await given(1_000, { maximum_per_minute: 1_200 });
    await walk.run({ seconds: 20 });
    expect(await changePace(walk.deps, walk.id, { maximum_per_minute: 120 }, actor)).toMatchObject({
      changed: true,
      update: { rollout: { maximum_per_minute: 120, maximum_in_progress: null, exponential: null } },
    });
    const lowered = walk.seconds();
    await walk.run({ seconds: 60 });
    await changePace(walk.deps, walk.id, { maximum_per_minute: 2_400 }, actor);
    const raised = walk.seconds();
    await walk.run();
    await expectAllSucceeded(walk, 1_000);
    // One chunk may have been under way when the pace was lowered.
    expect(walk.backend.commandsBetween(lowered + 5, raised)).toBeLessThanOrEqual(120);
    expect(walk.backend.mostWithin(5, lowered + 5)).toBeLessThanOrEqual(200);
    expect(walk.backend.commandsBetween(raised, raised + 11)).toBeGreaterThanOrEqual(200);
  });

  it('holds over pauses: resuming again and again gives nothing extra', async () => {
    const walk = await given(400, { maximum_per_minute: 600 });
    for (let i = 0; i < 10; i += 1) {
      await walk.run({ seconds: 3 });
      await pauseUpdate(walk.deps, walk.id, { reason: null }, actor);
      await walk.run({ seconds: 1 });
      await resumeUpdate(walk.deps, walk.id, actor);
    }
    await walk.run();
    await expectAllSucceeded(walk, 400);
    expect(walk.backend.mostWithin(5)).toBeLessThanOrEqual(50);
  });
});

describe('maximum_in_progress', () => {
  it('is never exceeded, and is filled up as devices end', async () => {
    const walk = await given(200, { maximum_in_progress: 40 });
    const random = createRandom(7);
    walk.backend.behave = () => ({ seconds: random.between(5, 60), result: random.chance(0.2) ? 'fails' : 'succeeds' });
    await walk.run();
    expect(await walk.find(walk.id)).toMatchObject({ status: 'COMPLETED', progress: 1 });
    expect(await mostAtWork(walk)).toBeLessThanOrEqual(40);
    // 200 devices of half a minute each at 40 places take 3 minutes; the walk needs some to notice.
    expect(walk.seconds()).toBeLessThanOrEqual(400);
  });

  it.each(seeds(3))('is never exceeded while messages come twice and late and answers are slow (seed %i)', async (seed) => {
    const devices = inFull ? 200 : 120;
    const walk = await given(devices, { maximum_in_progress: 30 });
    disturb(walk, seed);
    await walk.run();
    await expectAllSucceeded(walk, devices);
    expect(await mostAtWork(walk)).toBeLessThanOrEqual(30);
  });

  it.each(seeds(3))('is never exceeded when the backend takes commands and forgets to say so (seed %i)', async (seed) => {
    const walk = await given(60, { maximum_in_progress: 7 });
    const random = createRandom(seed);
    walk.backend.forgets = () => random.chance(0.4);
    walk.backend.behave = () => ({ seconds: random.between(30, 90), result: 'succeeds' });
    await walk.run();
    await expectAllSucceeded(walk, 60);
    expect(walk.backend.mostAtWork).toBe(7);
  });

  it('lets devices be asked again that hold all its places because an answer is missing', async () => {
    const walk = await given(4, { maximum_in_progress: 2 });
    walk.backend.isDown = true;
    await walk.run({ seconds: 120 });
    walk.backend.isDown = false;
    await walk.run();
    await expectAllSucceeded(walk, 4);
    // The first ones only, again and again, until they were taken.
    const places = walk.backend.arrivals.map(({ commands }) => commands.map(({ external_id }) => walk.external_ids.indexOf(external_id)));
    expect(places.slice(0, 3)).toEqual([[0, 1], [0], [1]]);
  });

  it('can be lifted while the update runs', async () => {
    const walk = await given(100, { maximum_in_progress: 1 });
    await walk.run({ seconds: 30 });
    await changePace(walk.deps, walk.id, { maximum_in_progress: null }, actor);
    await walk.run({ seconds: 5 });
    expect(walk.backend.commands).toHaveLength(100);
    await walk.run();
    await expectAllSucceeded(walk, 100);
  });
});

describe('an exponential rate', () => {
  it('starts at its base and grows by its factor each time so many more have succeeded, up to the maximum', async () => {
    const exponential = { base_per_minute: 10, increment_factor: 2, after_succeeded: 10 };
    const walk = await given(150, { maximum_per_minute: 35, exponential });
    walk.backend.behave = () => ({ seconds: 20, result: 'succeeds' });
    await walk.run();
    await expectAllSucceeded(walk, 150);
    const minutes = Array.from({ length: 6 }, (_, i) => walk.backend.commandsBetween(1 + i * 60, 61 + i * 60));
    // 10 in the first minute; they succeed, so that 20 are allowed within a minute, then 40, but no more than 35.
    const first = walk.backend.arrivals.slice(0, 1).flatMap(({ commands }) => commands);
    expect(first).toHaveLength(10);
    expect(walk.backend.commandsBetween(0, 20)).toBe(10);
    expect(walk.backend.commandsBetween(0, 41)).toBe(20);
    expect(Math.max(...minutes)).toBeLessThanOrEqual(35);
    expect(walk.backend.mostWithin(60)).toBeLessThanOrEqual(35);
    expect(walk.backend.mostWithin(60)).toBeGreaterThanOrEqual(34);
  });

  it('does not grow while devices fail', async () => {
    const exponential = { base_per_minute: 10, increment_factor: 2, after_succeeded: 10 };
    const walk = await given(40, { exponential });
    walk.backend.behave = () => ({ seconds: 20, result: 'fails' });
    await walk.run();
    expect(await walk.find(walk.id)).toMatchObject({ status: 'COMPLETED', counts: { FAILED: 40 } });
    expect(walk.backend.mostWithin(60)).toBeLessThanOrEqual(10);
  });

  it('is off unless asked for: 30,000 a minute, 2,500 within 5 s', async () => {
    const walk = await given(2_600, {});
    expect(await walk.find(walk.id)).toMatchObject({
      rollout: { maximum_per_minute: 30_000, maximum_in_progress: null, exponential: null },
    });
    await walk.run();
    await expectAllSucceeded(walk, 2_600);
    expect(walk.backend.mostWithin(5)).toBe(2_500);
  });
});

describe('start_dt', () => {
  it('holds everything back until then, and nothing after', async () => {
    const start_dt = addSeconds(startOfTime, 2 * 3_600);
    const walk = await given(10, {}, { start_dt: start_dt.toISOString() });
    await walk.run({ seconds: 2 * 3_600 - 1 });
    expect(await walk.find(walk.id)).toMatchObject({ status: 'SCHEDULED', started_dt: null, start_dt, counts: { QUEUED: 10 } });
    expect(walk.backend.commands).toEqual([]);
    await walk.run();
    await expectAllSucceeded(walk, 10);
    const sent = walk.backend.arrivals.map(({ at }) => secondsBetween(start_dt, at));
    expect(sent.every((second) => second >= 0 && second <= 2)).toBe(true);
  });

  it('in the past is now', async () => {
    const walk = await given(1, {}, { start_dt: addSeconds(startOfTime, -60).toISOString() });
    await walk.run({ seconds: 3 });
    expect(walk.backend.commands).toHaveLength(1);
  });
});

describe('the canary', () => {
  it('is asked alone, drawn by lot, and the others follow only after its minimum wait', async () => {
    const walk = await given(100, {}, { canary: { percentage: 10, minimum_wait_minutes: 5 } });
    await walk.run({ seconds: 299 });
    expect(walk.backend.commands).toHaveLength(10);
    const places = walk.backend.commands.map(({ external_id }) => walk.external_ids.indexOf(external_id));
    expect(Math.max(...places)).toBeGreaterThan(10);
    await walk.run();
    await expectAllSucceeded(walk, 100);
    const executions = await walk.executions(walk.id);
    expect(executions.filter(({ is_canary }) => is_canary)).toHaveLength(10);
    expect(await walk.find(walk.id)).toMatchObject({ canary_started_dt: expect.any(Date), canary_passed_dt: expect.any(Date) });
  });

  it('that fails ends the update: nobody else is asked', async () => {
    const walk = await given(300, {}, { canary: undefined });
    walk.backend.behave = ({ execution_id }) => ({
      seconds: 10 + (execution_id % 7),
      result: execution_id % 3 === 0 ? 'fails' : 'succeeds',
    });
    await walk.run();
    const update = await walk.find(walk.id);
    expect(update).toMatchObject({ status: 'ABORTED', canary: { size: 50 }, counts: { CANCELED: 250 } });
    expect(update.reason).toMatch(/^CANARY_FAILED: \d+ of 50 failed$/);
    expect(walk.backend.commands).toHaveLength(50);
    expect(update.counts.SUCCEEDED + update.counts.FAILED).toBe(50);
  });
});
