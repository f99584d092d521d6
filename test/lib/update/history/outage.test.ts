import { describe, expect, it } from 'vitest';
import { secondsBetween } from '../../../../lib/clock.ts';
import { openGate } from '../../../../lib/update/backend-gate.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { givenDevices, givenFirmware, startOfTime } from '../../../support/fixtures.ts';
import { inFull } from '../../../support/seeds.ts';
import { createSimulatedWalk, type SimulatedBackend } from '../../../support/simulated-walk.ts';

const { db } = await createTestDatabase({ maxConnections: 20 });

interface Outage {
  devices: number;
  perMinute: number;
  /** When the backend goes down, and for how long. */
  downAt?: number;
  downSeconds: number;
  settings?: Record<string, unknown>;
  backend?: Partial<Pick<SimulatedBackend, 'retryAfterSeconds' | 'failsAfterSeconds'>>;
}

/** An update whose backend goes down and comes back, to its end. */
const runOutage = async ({ devices, perMinute, downAt = 25, downSeconds, settings = {}, backend: told = {} }: Outage) => {
  // All updates share one gate, so each test begins with an open one.
  await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
  const walk = createSimulatedWalk(db);
  const { backend } = walk;
  Object.assign(backend, told);
  const firmware = await givenFirmware(db);
  const external_ids = await givenDevices(db, devices);
  const { id } = await walk.request({
    firmware_id: firmware.id,
    targets: { external_ids },
    canary: null,
    rollout: { maximum_per_minute: perMinute },
    ...settings,
  });
  walk.time.after(downAt, () => {
    backend.isDown = true;
  });
  const back = downAt + downSeconds;
  walk.time.after(back, () => {
    backend.isDown = false;
  });
  await walk.run();
  const update = await walk.find(id);
  const perMinuteBetween = (from: number, seconds: number) => (backend.commandsBetween(from, from + seconds) * 60) / seconds;
  /** Lower than the requested pace by the duration of calls, because commands count until they are answered. */
  const paceBefore = perMinuteBetween(downAt - 20, 20);
  /** The pace in the 20 s that begin `seconds` after the return, as a share of the pace before. */
  const paceAfterReturn = (seconds: number) => perMinuteBetween(back + seconds, 20) / paceBefore;
  const recovery = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55].find((seconds) => paceAfterReturn(seconds) >= 0.95);
  return { ...walk, update, paceAfterReturn, recovery, commandsPerDevice: backend.commands.length / devices };
};

const expectNothingLost = async (
  { update, messagesLeft, deadLetters, mostReceives }: Awaited<ReturnType<typeof runOutage>>,
  devices: number,
) => {
  expect(update).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: devices } });
  expect({ left: messagesLeft(), dead: deadLetters(), receives: mostReceives() }).toEqual({ left: 0, dead: 0, receives: 1 });
};

/** 500 are asked before the backend goes down, and 1,000 in the 50 s after its return, in which the pace is measured. */
const enoughDevices = 1_700;

// Half a minute of work: `.ci/run` and the soak have it.
describe.runIf(inFull)('a backend that is down for an hour', () => {
  it.each([
    { devices: 5_000, perMinute: 1_200 },
    { devices: 1_500, perMinute: 600 },
  ])(
    'costs at most 1.1 commands a device, loses no device and no message, and has its pace back within 30 s: $devices devices',
    {
      timeout: 300_000,
    },
    async ({ devices, perMinute }) => {
      const outage = await runOutage({ devices, perMinute, downSeconds: 3_600 });
      const { backend, commandsPerDevice, recovery, paceAfterReturn, deps } = outage;
      const failed = backend.arrivals.filter(({ wasTaken }) => !wasTaken);
      const probes = backend.questions.filter(({ wasTaken }) => !wasTaken);
      console.log(
        `${devices} devices: commands a device: ${commandsPerDevice}; calls that failed: ${failed.length}, probes ${probes.length}; 95 % of the pace after: ${recovery} s; messages of the walk: ${deps.advances.sent}`,
      );
      await expectNothingLost(outage, devices);
      expect(commandsPerDevice).toBeLessThanOrEqual(1.1);
      expect(paceAfterReturn(30)).toBeGreaterThanOrEqual(0.95);
      // After the first failures the backend got only questions about one device at a time, and no commands.
      expect(failed.length).toBeLessThanOrEqual(10);
      expect(probes.every(({ external_ids }) => external_ids.length === 1)).toBe(true);
      // Every device was commanded only once: the backend counts a repeated attempt as the same command.
      expect(new Set(backend.commands.map(({ execution_id, attempt }) => `${execution_id} ${attempt}`)).size).toBe(devices);
      const calls = failed.length + probes.length;
      expect(outage.update.backend_errors).toEqual([{ error: 'backend answered 503', calls, last_dt: expect.any(Date) }]);
    },
  );
});

describe('a backend that was down', () => {
  // In full, the return is tried at every phase of the probes.
  it.each(inFull ? [100, 103, 106, 109, 112] : [106])(
    'for %i s has its pace back within 30 s',
    { timeout: 120_000 },
    async (downSeconds) => {
      const outage = await runOutage({ devices: enoughDevices, perMinute: 1_200, downSeconds });
      console.log(`down for ${downSeconds} s: 95 % of the pace after ${outage.recovery} s`);
      await expectNothingLost(outage, enoughDevices);
      expect(outage.paceAfterReturn(30)).toBeGreaterThanOrEqual(0.95);
    },
  );

  it.each(inFull ? [200, 203, 206, 209, 212, 215] : [206])(
    'for %i s, hanging over every call, has its pace back within 30 s',
    { timeout: 120_000 },
    async (downSeconds) => {
      const outage = await runOutage({ devices: enoughDevices, perMinute: 1_200, downSeconds, backend: { failsAfterSeconds: 60 } });
      console.log(
        `down for ${downSeconds} s, hanging: 95 % of the pace after ${outage.recovery} s; commands a device: ${outage.commandsPerDevice}`,
      );
      await expectNothingLost(outage, enoughDevices);
      expect(outage.paceAfterReturn(30)).toBeGreaterThanOrEqual(0.95);
    },
  );

  it('is not called before its Retry-After', { timeout: 120_000 }, async () => {
    const outage = await runOutage({ devices: 700, perMinute: 1_200, downSeconds: 60, backend: { retryAfterSeconds: 45 } });
    await expectNothingLost(outage, 700);
    const all = [...outage.backend.arrivals, ...outage.backend.questions];
    const failures = all.filter(({ wasTaken }) => !wasTaken).map(({ at }) => secondsBetween(startOfTime, at));
    const calls = all.map(({ at }) => secondsBetween(startOfTime, at));
    for (const failure of failures) {
      expect(calls.filter((second) => second > failure + 0.1 && second < failure + 45)).toEqual([]);
    }
  });

  it('while the canary was asked goes on with the same canary', { timeout: 120_000 }, async () => {
    const outage = await runOutage({ devices: 300, perMinute: 1_200, downAt: 0, downSeconds: 60, settings: { canary: { size: 60 } } });
    await expectNothingLost(outage, 300);
    expect((await outage.executions(outage.update.id)).filter(({ is_canary }) => is_canary)).toHaveLength(60);
  });
});

describe('a backend that becomes slow', () => {
  it('under more than it can do gets about as much as it can, and the update ends', { timeout: 120_000 }, async () => {
    await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
    const walk = createSimulatedWalk(db);
    const { backend } = walk;
    // It can do 40 commands in 5 s; with more it answers in 4 s instead of 0.2.
    backend.latencySeconds = () => (backend.commandsBetween(walk.seconds() - 5, walk.seconds() + 0.001) > 40 ? 4 : 0.2);
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 2_200);
    const { id } = await walk.request({
      firmware_id: firmware.id,
      targets: { external_ids },
      canary: { size: 20 },
      rollout: { maximum_per_minute: 1_200 },
    });
    await walk.run();
    expect(await walk.find(id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 2_200 } });
    // 1,200 a minute would be the pace asked for, 480 what it can do at once.
    const perMinute = backend.commandsBetween(60, 240) / 3;
    console.log(`of 1,200 a minute a backend that can do 480 gets ${perMinute}`);
    expect(perMinute).toBeLessThanOrEqual(700);
    expect(perMinute).toBeGreaterThanOrEqual(150);
  });
});
