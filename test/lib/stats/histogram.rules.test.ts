import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketsOf, type Histogram, summarize } from '../../../lib/stats/histogram.ts';

/** As the database counts: buckets of 5 %, everything below 0.1 s in the first. */
const histogramOf = (times: readonly number[]): Histogram => {
  const counts = new Map<number, number>();
  for (const time of times) {
    const bucket = Math.floor(Math.log(Math.max(time, 0.1)) / Math.log(1.05));
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  }
  return {
    buckets: [...counts.keys()],
    counts: [...counts.values()],
    sum_seconds: times.reduce((sum, time) => sum + time, 0),
    max_seconds: Math.max(...times),
  };
};

/** Milliseconds to three weeks, as firmware_update_time has them. */
const Times = fc
  .array(fc.integer({ min: 100, max: 2_000_000_000 }), { minLength: 1, maxLength: 300 })
  .map((all) => all.map((ms) => ms / 1_000));

describe('summarize', () => {
  it('tells mean and maximum exactly, and percentiles at most 2.5 % off, whatever the times', () => {
    fc.assert(
      fc.property(Times, (times) => {
        const summary = summarize([histogramOf(times)]);
        const sorted = times.toSorted((a, b) => a - b);
        expect(summary.installations).toBe(times.length);
        expect(summary.max_seconds).toBe(sorted.at(-1));
        expect(summary.mean_seconds).toBeCloseTo(times.reduce((sum, time) => sum + time, 0) / times.length, 6);
        for (const percent of [50, 90, 99] as const) {
          const real = sorted[Math.ceil((percent * times.length) / 100) - 1] ?? Number.NaN;
          expect(Math.abs(summary[`p${percent}_seconds`] / real - 1)).toBeLessThan(0.025);
        }
      }),
    );
  });

  it('is the same for one histogram and for its parts, in whatever way it is parted', () => {
    fc.assert(
      fc.property(Times, Times, (some, others) => {
        const { mean_seconds, ...whole } = summarize([histogramOf([...some, ...others])]);
        const parts = summarize([histogramOf(some), histogramOf(others)]);
        expect(parts).toMatchObject(whole);
        expect(parts.mean_seconds).toBeCloseTo(mean_seconds, 6);
      }),
    );
  });

  it('tells percentiles in order, none above the maximum', () => {
    fc.assert(
      fc.property(Times, (times) => {
        const { p50_seconds, p90_seconds, p99_seconds, max_seconds } = summarize([histogramOf(times)]);
        expect([p50_seconds, p90_seconds, p99_seconds, max_seconds]).toEqual(
          [p50_seconds, p90_seconds, p99_seconds, max_seconds].toSorted((a, b) => a - b),
        );
      }),
    );
  });

  it('takes an installation of no time at all for one of at most 0.1 s', () => {
    expect(summarize([histogramOf([0])])).toEqual({
      installations: 1,
      mean_seconds: 0,
      p50_seconds: 0,
      p90_seconds: 0,
      p99_seconds: 0,
      max_seconds: 0,
    });
    expect(summarize([histogramOf([0, 0, 10])])).toMatchObject({ p50_seconds: expect.closeTo(0.0985, 3), p99_seconds: 10 });
  });
});

describe('the buckets that are told', () => {
  it('hold every installation once, in order, each bucket within its edges and 22 % wide', () => {
    fc.assert(
      fc.property(Times, Times, (some, others) => {
        const buckets = bucketsOf([histogramOf(some), histogramOf(others)]);
        const all = [...some, ...others];
        expect(buckets.reduce((sum, { installations }) => sum + installations, 0)).toBe(all.length);
        for (const [i, { from_seconds, until_seconds, installations }] of buckets.entries()) {
          expect(installations).toBeGreaterThan(0);
          expect(until_seconds / from_seconds).toBeCloseTo(1.2155, 2);
          expect(from_seconds).toBeGreaterThanOrEqual(buckets[i - 1]?.until_seconds ?? 0);
          // Edges are told in four digits.
          const within = all.filter((time) => time >= from_seconds * 1.001 && time < until_seconds * 0.999).length;
          const near = all.filter((time) => time >= from_seconds * 0.999 && time < until_seconds * 1.001).length;
          expect(installations).toBeGreaterThanOrEqual(within);
          expect(installations).toBeLessThanOrEqual(near);
        }
      }),
    );
  });

  it('are those of a hand-made example', () => {
    // 10 s is in the bucket from 1.05^44 to 1.05^48 s, 30 s in that from 1.05^68 to 1.05^72 s.
    expect(bucketsOf([histogramOf([10, 10, 30])])).toEqual([
      { from_seconds: 8.557, until_seconds: 10.4, installations: 2 },
      { from_seconds: 27.6, until_seconds: 33.55, installations: 1 },
    ]);
  });

  it('take an installation of no time at all into the first one', () => {
    expect(bucketsOf([histogramOf([0, 0.1])])).toEqual([{ from_seconds: 0.09614, until_seconds: 0.1169, installations: 2 }]);
  });
});
