import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { openGate } from '../../../../lib/update/backend-gate.ts';
import { noCounts } from '../../../../lib/update/execution.ts';
import { canarySizeOf } from '../../../../lib/update/plan/canary.ts';
import { defaultStopRules, FailureTypes, type StopRule } from '../../../../lib/update/rules.ts';
import type { Counts } from '../../../../lib/update/update.ts';
import { decide } from '../../../../lib/update/walk/decide.ts';
import { paceWindow } from '../../../../lib/update/walk/pace.ts';
import { findStop, type Judged, judgeCanary } from '../../../../lib/update/walk/stop-rules.ts';
import { startOfTime } from '../../../support/fixtures.ts';
import { inFull } from '../../../support/seeds.ts';
import { createRandom } from '../../../support/update-service.ts';

const anyFailure = (threshold_percentage: number, minimum_executions: number, action: StopRule['action'] = 'ABORT'): StopRule => ({
  failure_types: ['FAILED', 'TIMED_OUT', 'REJECTED'],
  threshold_percentage,
  minimum_executions,
  action,
});

const stopOf = (rules: StopRule[], counts: Partial<Counts>, given: Partial<Judged> = {}) =>
  findStop(rules, { counts: { ...noCounts(), ...counts }, alreadyOnTarget: 0, resumedCounts: null, ...given });

describe('a stop rule', () => {
  it.each([
    ['is not judged before the minimum has ended', anyFailure(10, 100), { SUCCEEDED: 0, FAILED: 99 }, undefined],
    ['stops when the minimum has ended and all have failed', anyFailure(10, 100), { FAILED: 100 }, 'ABORT'],
    ['stops at the threshold itself', anyFailure(10, 100), { SUCCEEDED: 90, FAILED: 10 }, 'ABORT'],
    ['does not stop just below it', anyFailure(10, 100), { SUCCEEDED: 91, FAILED: 10 }, undefined],
    ['adds all its failure types up', anyFailure(10, 100), { SUCCEEDED: 90, FAILED: 4, TIMED_OUT: 3, REJECTED: 3 }, 'ABORT'],
    ['does not count what waits or is at work as ended', anyFailure(10, 100), { QUEUED: 500, IN_PROGRESS: 50, FAILED: 99 }, undefined],
    ['counts what is at work as asked', anyFailure(10, 100), { IN_PROGRESS: 901, FAILED: 100 }, undefined],
    ['stops when enough of those that were asked have failed', anyFailure(10, 100), { IN_PROGRESS: 900, FAILED: 100 }, 'ABORT'],
    ['does not count what waits at all', anyFailure(10, 100), { QUEUED: 10_000, SUCCEEDED: 90, FAILED: 10 }, 'ABORT'],
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
    expect(stopOf([rule], counts)?.action).toBe(action);
  });

  it('counts only its own failure types, but everything that was asked as the whole', () => {
    const rule: StopRule = { ...anyFailure(20, 10), failure_types: ['TIMED_OUT'] };
    expect(stopOf([rule], { SUCCEEDED: 2, FAILED: 7, TIMED_OUT: 1 })).toBeUndefined();
    expect(stopOf([rule], { SUCCEEDED: 2, FAILED: 6, TIMED_OUT: 2 })).toEqual({
      action: 'ABORT',
      reason: 'FAILURE_RATE: 2 of 10 devices asked ended as TIMED_OUT',
    });
  });

  it('counts devices that were on the target version before for nothing', () => {
    const counts = { SUCCEEDED: 1_005, FAILED: 5 };
    expect(stopOf([anyFailure(10, 10)], counts, { alreadyOnTarget: 1_000 })?.action).toBe('ABORT');
    expect(stopOf([anyFailure(10, 10)], counts)).toBeUndefined();
  });

  it('of several the first one that is met decides', () => {
    const rules = [anyFailure(50, 1, 'ABORT'), anyFailure(10, 1, 'PAUSE')];
    expect(stopOf(rules, { SUCCEEDED: 80, FAILED: 20 })?.action).toBe('PAUSE');
    expect(stopOf(rules, { SUCCEEDED: 40, FAILED: 60 })?.action).toBe('ABORT');
    expect(stopOf([], { FAILED: 1_000 })).toBeUndefined();
  });

  it('that pauses judges after a resume only what has ended since, and pauses again when that is no better', () => {
    const rule = anyFailure(50, 4, 'PAUSE');
    const resumedCounts = { SUCCEEDED: 1_001, FAILED: 4, IN_PROGRESS: 3 };
    const since = (counts: Partial<Counts>) => stopOf([rule], counts, { alreadyOnTarget: 1_000, resumedCounts });
    expect(since(resumedCounts)).toBeUndefined();
    expect(since({ SUCCEEDED: 1_001, FAILED: 7 })).toBeUndefined();
    expect(since({ SUCCEEDED: 1_003, FAILED: 6, IN_PROGRESS: 1 })).toBeUndefined();
    expect(since({ SUCCEEDED: 1_003, FAILED: 7 })).toEqual({
      action: 'PAUSE',
      reason: 'FAILURE_RATE: 3 of 5 devices asked ended as FAILED or TIMED_OUT or REJECTED since the update was resumed',
    });
  });

  it('that pauses does not count either what was on the target version when it was taken over after a resume', () => {
    const rule = anyFailure(50, 2, 'PAUSE');
    const resumedCounts = { SUCCEEDED: 5, FAILED: 5, ALREADY_ON_TARGET: 3 };
    const since = (counts: Partial<Counts>) => stopOf([rule], counts, { alreadyOnTarget: 7, resumedCounts });
    expect(since({ SUCCEEDED: 9, FAILED: 6 })).toBeUndefined();
    expect(since({ SUCCEEDED: 10, FAILED: 6 })?.reason).toBe(
      'FAILURE_RATE: 1 of 2 devices asked ended as FAILED or TIMED_OUT or REJECTED since the update was resumed',
    );
  });

  it('that aborts judges the whole update, also after a resume', () => {
    const counts = { SUCCEEDED: 50, FAILED: 50 };
    const rules = [anyFailure(30, 10, 'PAUSE'), anyFailure(50, 10, 'ABORT')];
    expect(stopOf(rules, counts, { resumedCounts: counts })?.action).toBe('ABORT');
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
  perMinute: number;
  hasCanary: boolean;
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
const simulate = ({ devices, failureRate, perMinute, hasCanary, success, failure }: Fleet, seed: number): Ending => {
  const random = createRandom(seed).next;
  const size = canarySizeOf(hasCanary ? undefined : null, devices);
  const update = {
    already_on_target: 0,
    abort: defaultStopRules,
    canary: size === null ? null : { size, minimum_wait_minutes: 0, success_percentage: 90 },
    canary_started_dt: null as Date | null,
    canary_passed_dt: null as Date | null,
    resumed_counts: null,
    firmware_status: 'available' as const,
    maximum_per_minute: perMinute,
    maximum_in_progress: null,
    exponential: null,
  };
  const windowSeconds = paceWindow(perMinute).seconds;
  const gate = openGate(addSeconds(startOfTime, -60));
  const counts = { ...noCounts(), QUEUED: devices };
  const canary = { chosen: 0, removed: 0, isDrawn: false, waiting: 0, succeeded: 0, failed: 0 };
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
    for (let before = 1; before < windowSeconds; before += 1) commandsInWindow += released[second - before] ?? 0;
    const progress = {
      counts,
      judged: counts,
      canary,
      commandsInWindow,
      isUnderWay: false,
      inProgress: counts.IN_PROGRESS,
      unanswered: 0,
      gate,
    };
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

type Scenario = Omit<Fleet, 'failureRate'>;
const run = (scenario: Scenario, failureRate: number, seeds: number) => {
  const endings = Array.from({ length: seeds }, (_, seed) => simulate({ ...scenario, failureRate }, seed + 1));
  const touched = endings.map((ending) => ending.touched);
  return {
    stopped: endings.filter(({ isStopped }) => isStopped).length / seeds,
    mean: touched.reduce((sum, n) => sum + n, 0) / seeds,
    max: Math.max(...touched),
  };
};

/** With the defaults; an installation takes two to six minutes. */
const defaults = { devices: 20_000, perMinute: 30_000, hasCanary: true, success: between(120, 360) };
const scenarios: Record<string, Scenario> = {
  'fail as slowly as others succeed': { ...defaults, failure: between(120, 360) },
  'fail within seconds': { ...defaults, failure: between(1, 5) },
  'fail three times as slowly': { ...defaults, failure: between(360, 1_080) },
  'fall silent until their deadline': { ...defaults, failure: () => 3_600 },
  'fail as slowly, no canary, 600 a minute': { ...defaults, hasCanary: false, perMinute: 600, failure: between(120, 360) },
  'fail within seconds, no canary, 600 a minute': { ...defaults, hasCanary: false, perMinute: 600, failure: between(1, 5) },
};
const withDefaults = Object.keys(scenarios).filter((name) => !name.includes('no canary'));

const seeds = inFull ? 1_000 : 200;

describe(`an update of 20,000 devices with the defaults, by ${seeds} seeds,`, () => {
  it.each(withDefaults)('stops before one per cent of the fleet is touched when three of ten devices %s', { timeout: 120_000 }, (name) => {
    const { stopped, max } = run(scenarios[name] as Scenario, 0.3, seeds);
    expect(stopped).toBe(1);
    expect(max).toBeLessThan(200);
  });

  it.each(withDefaults)('is hardly ever stopped in vain when two of a hundred %s', { timeout: 120_000 }, (name) => {
    const { stopped } = run(scenarios[name] as Scenario, 0.02, seeds);
    console.log(`stopped in vain when 2 % ${name}: ${(stopped * 100).toFixed(1)} % of ${seeds} updates`);
    expect(stopped).toBeLessThanOrEqual(0.001);
  });
});

// With `CURVE=1000`: so many seeds. The README of lib/update has the figures.
const curveSeeds = Number(process.env['CURVE'] ?? (inFull ? 20 : 5));

describe('the curve of the stop rules', () => {
  it.each(Object.keys(scenarios))('when devices %s', { timeout: 3_600_000 }, (name) => {
    const rates = [0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.4, 0.5];
    const curve = rates.map((rate) => ({ rate, ...run(scenarios[name] as Scenario, rate, curveSeeds) }));
    const lines = curve.map(({ rate, stopped, mean, max }) =>
      [`${Math.round(rate * 100)} %`, `${(stopped * 100).toFixed(1)} %`, mean.toFixed(0), String(max)].map((c) => c.padStart(12)).join(''),
    );
    console.log([`${name}, ${curveSeeds} seeds`, '        fail     stopped     touched         max', ...lines].join('\n'));
    // A good firmware is never stopped, a bad one always.
    expect(curve.filter(({ rate }) => rate <= 0.01).every(({ stopped }) => stopped === 0)).toBe(true);
    expect(curve.filter(({ rate }) => rate >= 0.3).every(({ stopped }) => stopped === 1)).toBe(true);
  });
});
