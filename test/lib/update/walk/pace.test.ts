import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { BackendUnavailable, type FirmwareCommand } from '../../../../lib/ports/backend.ts';
import type { Queue } from '../../../../lib/ports/queue.ts';
import type { AdvanceMessage, DispatchMessage } from '../../../../lib/update/messages.ts';
import { UnderWay } from '../../../../lib/walk.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { confirmation, startOfTime } from '../../../support/fixtures.ts';
import { inFull } from '../../../support/seeds.ts';
import { Simulation } from '../../../support/simulation.ts';
import { visibilitySeconds } from '../../../support/timed-queues.ts';
import { createRandom, createUpdateService } from '../../../support/update-service.ts';

const { db } = await createTestDatabase();

interface World {
  seed: number;
  devices: number;
  maximum_per_minute: number;
  maximum_in_progress: number | null;
}

/**
 * One update in a world where messages come late, twice and out of order, functions die between their steps, the backend is slow,
 * defers and is down at times, and devices take their time.
 */
const simulate = async ({ seed, devices, maximum_per_minute, maximum_in_progress }: World) => {
  const random = createRandom(seed);
  const service = createUpdateService(db);
  const { clock, deps } = service;
  const simulation = new Simulation((seconds) =>
    clock.advance((addSeconds(startOfTime, seconds).getTime() - clock.now().getTime()) / 1000),
  );
  const arrivals: { at: number; execution_id: number; attempt: number }[] = [];
  let mostInProgress = 0;

  const deliver = <Message>(work: (message: Message) => Promise<void>): Queue<Message> => ({
    async send(messages, { delaySeconds = 0 } = {}) {
      for (const message of messages) {
        const copies = random.chance(0.2) ? 2 : 1;
        for (let copy = 0; copy < copies; copy += 1) {
          const latency = random.chance(0.1) ? random.between(1, 90) : random.between(0, 0.5);
          simulation.schedule(delaySeconds + latency, () => receive(message, work));
        }
      }
    },
  });
  /** A message that fails comes again after the queue's visibility timeout. */
  const receive = async <Message>(message: Message, work: (message: Message) => Promise<void>): Promise<void> => {
    try {
      await work(message);
    } catch (error) {
      if (!(error instanceof UnderWay) && !(error instanceof Crash)) throw error;
      simulation.schedule(visibilitySeconds, () => receive(message, work));
    }
  };
  class Crash extends Error {}
  const mayCrash = <Message>(queue: Queue<Message>): Queue<Message> => ({
    async send(messages, options) {
      if (random.chance(0.03)) throw new Crash();
      await queue.send(messages, options);
      if (random.chance(0.03)) throw new Crash();
    },
  });
  const dispatches = mayCrash(deliver<DispatchMessage>((message) => service.dispatch(message)));
  const advances: Queue<AdvanceMessage> = mayCrash(
    deliver<AdvanceMessage>((message) => service.advance(message, { advances, dispatches })),
  );

  const mayFail = () => {
    deps.backend.failure = random.chance(0.05) ? new BackendUnavailable('backend answered 503') : undefined;
  };
  // A probe of a backend that was in trouble.
  deps.backend.duringQuestion = async () => {
    await simulation.sleep(random.between(0.05, 1));
    mayFail();
  };
  deps.backend.during = async (commands) => {
    // The commands arrive some time during the call.
    const callSeconds = random.between(0.05, random.chance(0.05) ? 19 : 1);
    const onTheWaySeconds = random.between(0, callSeconds);
    await simulation.sleep(onTheWaySeconds);
    const at = simulation.seconds;
    for (const { execution_id, attempt } of commands) arrivals.push({ at, execution_id, attempt });
    await simulation.sleep(callSeconds - onTheWaySeconds);
    if (random.chance(0.03)) throw new Crash();
    mayFail();
    if (deps.backend.failure) return;
    const accepted = commands.filter((command) => deps.backend.answer(command).outcome === 'accepted');
    const together = Math.ceil(devices / 100);
    for (let first = 0; first < accepted.length; first += together) install(accepted.slice(first, first + together));
  };
  /** Who is ridden changes with time. */
  const rides = () => Math.floor(clock.now().getTime() / 45_000);
  deps.backend.answer = ({ execution_id }) =>
    (execution_id * 31 + rides() * 17 + seed) % 11 === 0
      ? { execution_id, outcome: 'deferred', reason: 'is ridden', retry_after_seconds: 45 }
      : { execution_id, outcome: 'accepted' };
  const install = (commands: readonly FirmwareCommand[]) =>
    simulation.schedule(random.between(0.5, 40), async () => {
      const { counts } = await service.find(update.id);
      mostInProgress = Math.max(mostInProgress, counts['IN_PROGRESS'] ?? 0);
      const occurred_dt = clock.now();
      await service.confirm(
        ...commands.map(({ external_id, execution_id, version }) => confirmation({ external_id, execution_id, version, occurred_dt })),
      );
    });

  const { update, message } = await service.given({ devices, rollout: { maximum_per_minute, maximum_in_progress } });
  simulation.schedule(0, async () => deliver<AdvanceMessage>((m) => service.advance(m, { advances, dispatches })).send([message]));
  await simulation.run();

  // A repetition of a command whose fate was unknown is the same command: the backend hands it to the device once.
  const commands = [...new Map(arrivals.toReversed().map((arrival) => [`${arrival.execution_id}/${arrival.attempt}`, arrival])).values()];
  return { update: await service.find(update.id), commands, mostInProgress, seconds: simulation.seconds };
};

/** The most that came in any so many seconds, looking back from every arrival. */
const mostIn = (seconds: number, commands: readonly { at: number }[]): number => {
  const times = commands.map(({ at }) => at).sort((a, b) => a - b);
  let first = 0;
  return times.reduce((most, at, last) => {
    while ((times[first] ?? at) <= at - seconds) first += 1;
    return Math.max(most, last - first + 1);
  }, 0);
};

describe('the pace at the backend, whatever happens to messages and functions', () => {
  it.each([
    [1, 4, null, 3, 60, 1],
    [7, 20, 3, 3, 60, 7],
    [23, 60, null, 2, 30, 11],
    [60, 120, 12, 2, 5, 5],
    // More than one window of 2,500.
    [30_000, inFull ? 6_000 : 3_000, null, 1, 5, 2_500],
  ])(
    '%i a minute with %i devices, %s in progress at most: in no 60 s more, and every device is updated',
    async (pace, devices, limit, numRuns, seconds, most) => {
      await fc.assert(
        fc.asyncProperty(fc.integer(), async (seed) => {
          const world = { seed, devices, maximum_per_minute: pace, maximum_in_progress: limit };
          const { update, commands, mostInProgress } = await simulate(world);
          expect(mostIn(60, commands)).toBeLessThanOrEqual(pace);
          // The window that the pace is made of: a large pace is not used up at once.
          expect(mostIn(seconds, commands)).toBeLessThanOrEqual(most);
          if (limit !== null) expect(mostInProgress).toBeLessThanOrEqual(limit);
          expect(update).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: devices } });
          // No command went out that was not one of the pace's: each execution and attempt once.
          expect(new Set(commands.map(({ execution_id }) => execution_id)).size).toBe(devices);
        }),
        // A failure prints its seed: put it here to see it again.
        { numRuns: inFull ? numRuns : 1, endOnFailure: true },
      );
    },
    120_000,
  );

  it('1,000 a minute when all goes well: never more in any 60 s, and at least 90 % of it', async () => {
    const service = createUpdateService(db);
    const { message, update } = await service.given({ devices: 2_000, rollout: { maximum_per_minute: 1_000 } });
    const arrivals: { at: number }[] = [];
    service.deps.backend.during = async (commands) => {
      const at = (service.clock.now().getTime() - startOfTime.getTime()) / 1000;
      for (const _ of commands) arrivals.push({ at });
    };
    let current: unknown = message;
    while (arrivals.length < 2_000) {
      await service.advance(current);
      for (const chunk of service.deps.dispatches.take()) await service.dispatch(chunk);
      [current] = service.deps.advances.take();
      service.clock.advance(1);
    }
    expect(mostIn(60, arrivals)).toBeLessThanOrEqual(1_000);
    expect(arrivals.at(-1)?.at).toBeLessThanOrEqual(2_000 / (900 / 60));
    expect((await service.dispatchesOf(update.id)).every(({ commands }) => commands <= 100)).toBe(true);
  });
});
