import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addSeconds, secondsBetween } from '../../../lib/clock.ts';
import {
  afterCall,
  allowedCommands,
  type BackendGate,
  type CallResult,
  mayCall,
  openGate,
  shareAt,
} from '../../../lib/update/backend-gate.ts';
import { startOfTime } from '../../support/fixtures.ts';

const at = (seconds: number): Date => addSeconds(startOfTime, seconds);
const open = openGate(at(-60));

/** A call that ends at a second and took 0.1 s unless told. */
const call = (second: number, result: Partial<CallResult> = {}): CallResult => {
  const { latencyMilliseconds = 100 } = result;
  return { isTaken: true, latencyMilliseconds, began: at(second - latencyMilliseconds / 1000), now: at(second), ...result };
};
const failed = (second: number, result: Partial<CallResult> = {}): CallResult => call(second, { isTaken: false, ...result });
const apply = (gate: BackendGate, ...calls: CallResult[]): BackendGate => calls.reduce(afterCall, gate);

describe('a backend that fails', () => {
  it('is left alone for a second after the first failure, and then asked for one device', () => {
    const gate = apply(open, failed(0));
    expect(gate).toMatchObject({ failures: 1, share: 0.5, closed_until: at(1) });
    expect(allowedCommands(gate, 1_000, false, at(0.9))).toBe(0);
    expect(mayCall(gate, 1, at(0.9))).toBe(false);
    expect(allowedCommands(gate, 1_000, false, at(1))).toBe(1);
    expect(allowedCommands(gate, 0, false, at(1))).toBe(0);
    expect(mayCall(gate, 1, at(1))).toBe(true);
  });

  it('gets no second probe while one is on its way, and none of the chunks released before', () => {
    const gate = apply(open, failed(0));
    expect(allowedCommands(gate, 1_000, true, at(2))).toBe(0);
    expect(mayCall(gate, 100, at(2))).toBe(false);
  });

  it('is left alone for 1, 2, 4, 8 and then 12 seconds', () => {
    const waits: number[] = [];
    let gate = open;
    let second = 0;
    for (let i = 0; i < 6; i += 1) {
      gate = apply(gate, failed(second));
      const wait = secondsBetween(at(second), gate.closed_until ?? at(second));
      waits.push(wait);
      second += wait + 1;
    }
    expect(waits).toEqual([1, 2, 4, 8, 12, 12]);
  });

  it('by ten calls that were under way together counts as one trouble', () => {
    const gate = apply(open, ...Array.from({ length: 10 }, (_, i) => failed(i / 100, { began: at(-1) })));
    expect(gate).toMatchObject({ failures: 1, share: 0.5, changed_dt: at(0) });
  });

  it('is left alone for as long as it asked: seconds of Retry-After, two minutes at most', () => {
    expect(apply(open, failed(0, { retryAfterSeconds: 40 })).closed_until).toEqual(at(40));
    expect(apply(open, failed(0, { retryAfterSeconds: 3_600 })).closed_until).toEqual(at(120));
    // A year.
    expect(apply(open, failed(0, { retryAfterSeconds: 31_536_000 })).closed_until).toEqual(at(120));
    expect(apply(open, failed(0, { retryAfterSeconds: 0 })).closed_until).toEqual(at(0));
  });

  it('is left alone for the longest that any call was asked for, in whatever order they come', () => {
    const long = failed(0.1, { retryAfterSeconds: 60, began: at(-1) });
    const short = failed(0.2, { retryAfterSeconds: 2, began: at(-1) });
    expect(apply(open, long, short).closed_until).toEqual(at(60.1));
    expect(apply(open, short, long).closed_until).toEqual(at(60.1));
  });

  it('is not taken for well by the answer to a call from before', () => {
    const gate = apply(open, failed(10));
    expect(apply(gate, call(11, { latencyMilliseconds: 5_000 }))).toBe(gate);
  });

  it('is back with the first answer to a probe, and reaches 95 % of the pace 12 s later', () => {
    const down = apply(open, failed(0), failed(2), failed(5), failed(10), failed(19), failed(32));
    expect(down).toMatchObject({ failures: 6, share: 0.05, closed_until: at(44) });
    const gate = apply(down, call(45));
    expect(gate).toMatchObject({ failures: 0, closed_until: null, share: 0.05 });
    expect(allowedCommands(gate, 1_000, true, at(45))).toBe(50);
    expect(allowedCommands(gate, 1_000, true, at(51))).toBe(550);
    expect(allowedCommands(gate, 1_000, true, at(56.9))).toBeGreaterThanOrEqual(950);
    expect(allowedCommands(gate, 1_000, true, at(57.5))).toBe(1_000);
  });

  it('reaches 95 % of the pace within 30 s of its return, whenever it returns', () => {
    fc.assert(
      fc.property(fc.double({ min: 1, max: 7_200, noNaN: true }), fc.double({ min: 0.05, max: 2, noNaN: true }), (returns, seconds) => {
        let gate = open;
        let now = 0;
        // A probe as soon as the walk looks: once a second.
        for (;;) {
          const wait = gate.closed_until ? Math.max(0, secondsBetween(at(now), gate.closed_until)) : 0;
          now += Math.ceil(wait) + 1;
          const isTaken = now >= returns;
          gate = apply(gate, { isTaken, latencyMilliseconds: seconds * 1000, began: at(now), now: at(now + seconds) });
          now += seconds;
          if (isTaken) break;
        }
        expect(shareAt(gate, at(returns + 30))).toBeGreaterThanOrEqual(0.95);
      }),
    );
  });
});

describe('a backend that slows down', () => {
  const usual = apply(open, call(0));

  it('is known by the first call', () => {
    expect(usual.usual_latency_ms).toBe(100);
  });

  it('gets four fifths of the pace when a call takes more than twice the usual, and a second at least', () => {
    expect(shareAt(apply(usual, call(10, { latencyMilliseconds: 1_001 })), at(10))).toBeCloseTo(0.8);
    expect(shareAt(apply(usual, call(10, { latencyMilliseconds: 999 })), at(10))).toBe(1);
    const slow = apply(open, call(0, { latencyMilliseconds: 2_000 }));
    expect(shareAt(apply(slow, call(10, { latencyMilliseconds: 3_900 })), at(10))).toBe(1);
    expect(shareAt(apply(slow, call(10, { latencyMilliseconds: 4_100 })), at(10))).toBeCloseTo(0.8);
  });

  it('is slowed down for it once in 3 s, however many calls were under way', () => {
    const slow = (second: number) => call(second, { latencyMilliseconds: 5_000 });
    const gate = apply(usual, slow(10), slow(10.1), slow(10.2), slow(12.9));
    expect(shareAt(gate, at(13))).toBeCloseTo(0.8);
    expect(shareAt(apply(gate, slow(13.1)), at(13.1))).toBeCloseTo(0.64);
  });

  it('that stays slow is left with a twentieth of the pace in the end', () => {
    const slow = Array.from({ length: 20 }, (_, i) => call(10 + i * 4, { latencyMilliseconds: 5_000 }));
    const gate = apply(usual, ...slow);
    expect(shareAt(gate, at(90))).toBe(0.05);
  });

  it('has 95 % of the pace again within 30 s, when it answers as usual: nothing for 10 s, then more and more', () => {
    const slow = Array.from({ length: 20 }, (_, i) => call(10 + i * 4, { latencyMilliseconds: 5_000 }));
    const gate = apply(usual, ...slow, call(87));
    expect(shareAt(gate, at(95))).toBe(0.05);
    expect(shareAt(gate, at(102))).toBeCloseTo(0.55);
    expect(shareAt(gate, at(110))).toBeGreaterThanOrEqual(0.95);
  });

  it('of calls as usual writes nothing', () => {
    expect(apply(usual, call(1), call(2, { latencyMilliseconds: 140 }), call(3, { latencyMilliseconds: 60 }))).toBe(usual);
  });

  it('of calls that take some milliseconds writes nothing, although one takes many times as long as another', () => {
    const quick = apply(open, call(0, { latencyMilliseconds: 4 }));
    const others = [1, 9, 60, 240].map((latencyMilliseconds, i) => call(1 + i, { latencyMilliseconds }));
    expect(apply(quick, ...others)).toBe(quick);
    // It is noted that they become much slower.
    expect(apply(quick, call(9, { latencyMilliseconds: 800 })).usual_latency_ms).toBeCloseTo(83.6);
  });
});

describe('the gate', () => {
  it('lets through 0 to 100 % of the pace, and nothing while it is closed, in whatever order calls end', () => {
    const calls = fc.array(
      fc.record({
        isTaken: fc.boolean(),
        latencyMilliseconds: fc.integer({ min: 0, max: 25_000 }),
        retryAfterSeconds: fc.option(fc.integer({ min: 0, max: 10_000 }), { nil: undefined }),
        pause: fc.integer({ min: 0, max: 30_000 }),
      }),
      { minLength: 1, maxLength: 60 },
    );
    fc.assert(
      fc.property(calls, fc.integer({ min: 0, max: 100_000 }), fc.boolean(), (results, wanted, isUnderWay) => {
        let gate = open;
        let ms = 0;
        let asked = 0;
        for (const { pause, ...result } of results) {
          ms += pause;
          const now = at(ms / 1000);
          gate = afterCall(gate, { ...result, began: at((ms - result.latencyMilliseconds) / 1000), now });
          if (!result.isTaken && result.retryAfterSeconds !== undefined)
            asked = Math.max(asked, ms + Math.min(120, result.retryAfterSeconds) * 1000);
          if (gate.failures === 0) asked = 0;
          expect(gate.share).toBeGreaterThanOrEqual(0.05);
          expect(gate.share).toBeLessThanOrEqual(1);
          for (const later of [0, 1, 20, 1_000]) {
            const then = at(ms / 1000 + later);
            const allowed = allowedCommands(gate, wanted, isUnderWay, then);
            expect(allowed).toBeGreaterThanOrEqual(0);
            expect(allowed).toBeLessThanOrEqual(wanted);
            if (then.getTime() < at(asked / 1000).getTime())
              expect({ allowed, may: mayCall(gate, 1, then) }).toEqual({ allowed: 0, may: false });
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
