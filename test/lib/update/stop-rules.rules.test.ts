import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { decide } from '../../../lib/update/advance-update.ts';
import { openGate } from '../../../lib/update/backend-gate.ts';
import { canarySizeOf, defaultStopRules, FailureTypes, findStop, judgeCanary, type StopRule } from '../../../lib/update/stop-rules.ts';
import { noCounts } from '../../../lib/update/update.ts';
import { startOfTime } from '../../support/fixtures.ts';
import { createRandom } from '../../support/update-service.ts';

const anyFailure = (threshold_percentage: number, minimum_executions: number, action: StopRule['action'] = 'ABORT'): StopRule => ({
  failure_types: ['FAILED', 'TIMED_OUT', 'REJECTED'],
  threshold_percentage,
  minimum_executions,
  action,
});

describe('a stop rule', () => {
  it.each([
    ['is not judged before the minimum has ended', anyFailure(10, 100), { SUCCEEDED: 0, FAILED: 99 }, undefined],
    ['stops when the minimum has ended and all have failed', anyFailure(10, 100), { FAILED: 100 }, 'ABORT'],
    ['stops at the threshold itself', anyFailure(10, 100), { SUCCEEDED: 90, FAILED: 10 }, 'ABORT'],
    ['does not stop just below it', anyFailure(10, 100), { SUCCEEDED: 91, FAILED: 10 }, undefined],
    ['adds all its failure types up', anyFailure(10, 100), { SUCCEEDED: 90, FAILED: 4, TIMED_OUT: 3, REJECTED: 3 }, 'ABORT'],
    [
      'does not count what waits or is at work',
      anyFailure(10, 100),
      { QUEUED: 500, IN_PROGRESS: 500, SUCCEEDED: 89, FAILED: 10 },
      undefined,
    ],
    [
      'does not count those that were canceled or removed',
      anyFailure(10, 100),
      { SUCCEEDED: 90, FAILED: 9, CANCELED: 900, REMOVED: 9 },
      undefined,
    ],
    ['pauses when it says so', anyFailure(10, 100, 'PAUSE'), { SUCCEEDED: 50, FAILED: 50 }, 'PAUSE'],
    ['with 100 % needs every one to fail', anyFailure(100, 2), { SUCCEEDED: 1, FAILED: 50 }, undefined],
    ['with 100 % stops when every one has failed', anyFailure(100, 2), { FAILED: 2 }, 'ABORT'],
    ['takes a threshold below 1 %', anyFailure(0.5, 100), { SUCCEEDED: 199, FAILED: 1 }, 'ABORT'],
    ['with a threshold below 1 % does not stop below it', anyFailure(0.5, 100), { SUCCEEDED: 200, FAILED: 1 }, undefined],
  ] as const)('%s', (_name, rule, counts, action) => {
    expect(findStop([rule], { ...noCounts(), ...counts }, 0)?.action).toBe(action);
  });

  it('counts only its own failure types, but everything that ended as the whole', () => {
    const rule: StopRule = { ...anyFailure(20, 10), failure_types: ['TIMED_OUT'] };
    expect(findStop([rule], { ...noCounts(), SUCCEEDED: 2, FAILED: 7, TIMED_OUT: 1 }, 0)).toBeUndefined();
    expect(findStop([rule], { ...noCounts(), SUCCEEDED: 2, FAILED: 6, TIMED_OUT: 2 }, 0)).toEqual({
      action: 'ABORT',
      reason: 'FAILURE_RATE: 2 of 10 ended as TIMED_OUT',
    });
  });

  it('counts devices that were on the target version before for nothing', () => {
    const counts = { ...noCounts(), SUCCEEDED: 1_005, FAILED: 5 };
    expect(findStop([anyFailure(10, 10)], counts, 1_000)?.action).toBe('ABORT');
    expect(findStop([anyFailure(10, 10)], counts, 0)).toBeUndefined();
  });

  it('of several the first one that is met decides', () => {
    const rules = [anyFailure(50, 1, 'ABORT'), anyFailure(10, 1, 'PAUSE')];
    expect(findStop(rules, { ...noCounts(), SUCCEEDED: 80, FAILED: 20 }, 0)?.action).toBe('PAUSE');
    expect(findStop(rules, { ...noCounts(), SUCCEEDED: 40, FAILED: 60 }, 0)?.action).toBe('ABORT');
    expect(findStop([], { ...noCounts(), FAILED: 1_000 }, 0)).toBeUndefined();
  });

  it('of ALL failure types has every one of them', () => {
    expect(FailureTypes.parse(['ALL'])).toEqual(['FAILED', 'TIMED_OUT', 'REJECTED']);
    expect(FailureTypes.parse(['FAILED', 'FAILED'])).toEqual(['FAILED']);
    expect(FailureTypes.safeParse(['CANCELED']).success).toBe(false);
    expect(FailureTypes.safeParse([]).success).toBe(false);
  });
});

describe('the canary', () => {
  it.each([
    ['by default there is none for 199 devices', undefined, 199, null],
    ['by default it has 50 of 200', undefined, 200, 50],
    ['by default it has 50 of 10,000', undefined, 10_000, 50],
    ['by default it has 0.5 % of more', undefined, 20_000, 100],
    ['by default it has whole devices', undefined, 10_001, 51],
    ['null is none', null, 20_000, null],
    ['a size is a size', { size: 7 }, 20_000, 7],
    ['a size is no more than there are', { size: 7 }, 5, 5],
    ['a percentage is of the eligible ones', { percentage: 1 }, 20_000, 200],
    ['a percentage is rounded up to a device', { percentage: 1 }, 10, 1],
  ] as const)('%s', (_name, canary, eligible, size) => {
    const whole = canary && { minimum_wait_minutes: 0, success_percentage: 90, ...canary };
    expect(canarySizeOf(whole as Parameters<typeof canarySizeOf>[0], eligible)).toBe(size);
  });

  it.each([
    ['waits while too few have ended', { succeeded: 89, failed: 10 }, true, 'waiting'],
    ['passes as soon as enough have succeeded', { succeeded: 90, failed: 0 }, true, 'passed'],
    ['passes at its success rate', { succeeded: 90, failed: 10 }, true, 'passed'],
    ['does not pass before its minimum wait', { succeeded: 100, failed: 0 }, false, 'waiting'],
    ['fails as soon as it cannot pass any more', { succeeded: 0, failed: 11 }, true, 'failed'],
    ['fails without waiting', { succeeded: 89, failed: 11 }, false, 'failed'],
  ] as const)('%s', (_name, progress, hasWaited, verdict) => {
    expect(judgeCanary({ size: 100, success_percentage: 90, hasWaited, ...progress })).toBe(verdict);
  });

  it('of one device needs that device', () => {
    const one = { size: 1, success_percentage: 90, hasWaited: true };
    expect(judgeCanary({ ...one, succeeded: 1, failed: 0 })).toBe('passed');
    expect(judgeCanary({ ...one, succeeded: 0, failed: 1 })).toBe('failed');
  });
});

interface Fleet {
  devices: number;
  failureRate: number;
  /** Seconds from the command to a success, or to a failure. */
  success: (random: () => number) => number;
  failure: (random: () => number) => number;
}

interface Ending {
  isStopped: boolean;
  /** Devices that were asked. */
  touched: number;
}

const between = (from: number, to: number) => (random: () => number) => Math.floor(from + random() * (to - from));

/** An update with the defaults, a step a second: decided by the engine's own rules, devices by the dice. */
const simulate = ({ devices, failureRate, success, failure }: Fleet, seed: number): Ending => {
  const random = createRandom(seed).next;
  const size = canarySizeOf(undefined, devices);
  const update = {
    planned: { ELIGIBLE: devices },
    abort: defaultStopRules,
    canary: size === null ? null : { size, minimum_wait_minutes: 0, success_percentage: 90 },
    canary_started_dt: null as Date | null,
    canary_passed_dt: null as Date | null,
    firmware_status: 'available' as const,
    maximum_per_minute: 30_000,
    maximum_in_progress: null,
    exponential: null,
  };
  const gate = openGate(addSeconds(startOfTime, -60));
  const counts = { ...noCounts(), QUEUED: devices };
  const canary = { chosen: 0, waiting: 0, succeeded: 0, failed: 0 };
  const released: number[] = [];
  /** By second: canary successes and failures, then the others'. */
  const ends: (Int32Array | undefined)[] = [];
  let touched = 0;
  for (let second = 0; counts.QUEUED + counts.IN_PROGRESS > 0; second += 1) {
    const [canarySucceeded = 0, canaryFailed = 0, succeeded = 0, failed = 0] = ends[second] ?? [];
    canary.succeeded += canarySucceeded;
    canary.failed += canaryFailed;
    counts.SUCCEEDED += canarySucceeded + succeeded;
    counts.FAILED += canaryFailed + failed;
    counts.IN_PROGRESS -= canarySucceeded + canaryFailed + succeeded + failed;

    const now = addSeconds(startOfTime, second);
    let commandsInWindow = 0;
    for (let before = 0; before < 5; before += 1) commandsInWindow += released[second - before] ?? 0;
    const progress = { counts, canary, commandsInWindow, isUnderWay: false, inProgress: counts.IN_PROGRESS, unanswered: 0, gate };
    const { stop, limit, isCanary, newCanaries, hasPassed } = decide(update, progress, now);
    if (stop) return { isStopped: true, touched };
    if (hasPassed) update.canary_passed_dt = now;
    const count = Math.min(limit, counts.QUEUED);
    if (isCanary && count > newCanaries) throw new Error('more canaries than asked for');
    if (isCanary && count > 0) {
      update.canary_started_dt ??= now;
      canary.chosen += count;
    }
    for (let i = 0; i < count; i += 1) {
      const fails = random() < failureRate;
      const end = second + Math.max(1, fails ? failure(random) : success(random));
      const bucket = ends[end] ?? new Int32Array(4);
      ends[end] = bucket;
      const at = (isCanary ? 0 : 2) + (fails ? 1 : 0);
      bucket[at] = (bucket[at] ?? 0) + 1;
    }
    released[second] = count;
    counts.QUEUED -= count;
    counts.IN_PROGRESS += count;
    touched += count;
  }
  return { isStopped: false, touched };
};

/** An installation takes two to six minutes, whether it succeeds or not. */
const alike = { devices: 20_000, success: between(120, 360), failure: between(120, 360) };
/** A device that fails, or a backend that rejects it, says so within seconds. */
const failingFast = { ...alike, failure: between(1, 5) };
/** A device that fails is never heard of again. */
const failingSilently = { ...alike, failure: () => 3_600 };

const run = (fleet: Omit<Fleet, 'failureRate'>, failureRate: number, seeds: number) => {
  const endings = Array.from({ length: seeds }, (_, seed) => simulate({ ...fleet, failureRate }, seed + 1));
  const touched = endings.map((ending) => ending.touched);
  return {
    stopped: endings.filter(({ isStopped }) => isStopped).length / seeds,
    mean: touched.reduce((sum, n) => sum + n, 0) / seeds,
    max: Math.max(...touched),
  };
};

describe('an update of 20,000 devices with the defaults', () => {
  it.each([
    ['fail as slowly as others succeed', alike],
    ['fail within seconds', failingFast],
    ['fall silent', failingSilently],
  ])(
    'stops before one per cent of the fleet is touched, by 1,000 seeds, when three of ten devices %s',
    { timeout: 120_000 },
    (_name, fleet) => {
      const { stopped, max } = run(fleet, 0.3, 1_000);
      expect(stopped).toBe(1);
      expect(max).toBeLessThan(200);
    },
  );

  it('is hardly ever stopped in vain, by 1,000 seeds, when 2 % fail as slowly as others succeed', { timeout: 120_000 }, () => {
    const { stopped } = run(alike, 0.02, 1_000);
    console.log(`stopped in vain at 2 %: ${(stopped * 100).toFixed(1)} % of 1,000 updates`);
    expect(stopped).toBeLessThanOrEqual(0.001);
  });

  it('prints its curve', { timeout: 240_000 }, () => {
    const lines = ['alike', 'fast', 'silent'].flatMap((name, i) =>
      [0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.4, 0.5].map((rate) => {
        const { stopped, mean, max } = run([alike, failingFast, failingSilently][i] as typeof alike, rate, 100);
        const columns = [`${Math.round(rate * 100)} %`, `${(stopped * 100).toFixed(1)} %`, mean.toFixed(0), String(max)];
        return `${name.padEnd(7)}${columns.map((column) => column.padStart(10)).join('')}`;
      }),
    );
    console.log(['failures  fail at   stopped   touched (mean)  (max)', ...lines].join('\n'));
    expect(lines).toHaveLength(39);
  });
});
