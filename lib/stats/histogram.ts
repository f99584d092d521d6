import type { TimeBucket, UpdateTimes } from './stats.ts';

/** How long installations took, counted by buckets of `firmware_update_time_bucket`: bucket n reaches from 1.05^n s to 1.05^(n+1) s. */
export interface Histogram {
  buckets: readonly number[];
  /** Installations in each of the buckets, in the same order. */
  counts: readonly number[];
  sum_seconds: number;
  max_seconds: number;
}

const bucketRatio = 1.05;

/**
 * Mean and maximum are exact. A percentile is the middle of the bucket in which the installation of that rank is, so that it is at most
 * 2.5 % off (below 0.1 s: at most 0.1 s) and never above the maximum. Only for histograms that have at least one installation.
 */
export const summarize = (histograms: readonly Histogram[]): UpdateTimes => {
  const counts = new Map<number, number>();
  for (const { buckets, counts: own } of histograms) {
    for (const [i, bucket] of buckets.entries()) counts.set(bucket, (counts.get(bucket) ?? 0) + (own[i] ?? 0));
  }
  const sorted = [...counts].sort(([a], [b]) => a - b);
  const installations = sorted.reduce((sum, [, n]) => sum + n, 0);
  const max_seconds = Math.max(...histograms.map((histogram) => histogram.max_seconds));

  const percentile = (percent: number): number => {
    const rank = Math.ceil((percent * installations) / 100);
    let seen = 0;
    for (const [bucket, n] of sorted) {
      seen += n;
      if (seen >= rank) return Math.min(max_seconds, bucketRatio ** (bucket + 0.5));
    }
    return max_seconds;
  };
  return {
    installations,
    mean_seconds: histograms.reduce((sum, { sum_seconds }) => sum + sum_seconds, 0) / installations,
    p50_seconds: percentile(50),
    p90_seconds: percentile(90),
    p99_seconds: percentile(99),
    max_seconds,
  };
};

/** How many buckets are shown as one: each shown bucket then ends 22 % above its beginning, so that about three of them are a doubling. */
const bucketsTold = 4;

/** Installations by how long they took, the shortest first; buckets without any are left out. */
export const bucketsOf = (histograms: readonly Histogram[]): TimeBucket[] => {
  const told = new Map<number, number>();
  for (const { buckets, counts } of histograms) {
    for (const [i, bucket] of buckets.entries()) {
      const shown = Math.floor(bucket / bucketsTold);
      told.set(shown, (told.get(shown) ?? 0) + (counts[i] ?? 0));
    }
  }
  return [...told]
    .sort(([a], [b]) => a - b)
    .map(([shown, installations]) => ({ from_seconds: edgeOf(shown), until_seconds: edgeOf(shown + 1), installations }));
};

/** The edge of a shown bucket, rounded so that it is readable, and equal for the buckets on both sides. */
const edgeOf = (shown: number): number => Number((bucketRatio ** (shown * bucketsTold)).toPrecision(4));
