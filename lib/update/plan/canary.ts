import type { Canary } from '../rules.ts';

/** An update of fewer devices has no canary unless asked for: it would be most of the update. */
const smallestUpdateWithCanary = 200;
/** Few enough that a bad firmware touches less than 1 % of a fleet of 10,000, enough that 2 % of failures do not stop a good one. */
const defaultCanaryPercentage = 0.5;
const smallestDefaultCanary = 50;

/** How many devices are asked first; null: all at once. */
export const canarySizeOf = (canary: Canary | null | undefined, eligible: number): number | null => {
  if (canary === null) return null;
  if (canary === undefined) {
    if (eligible < smallestUpdateWithCanary) return null;
    return Math.max(smallestDefaultCanary, Math.ceil((eligible * defaultCanaryPercentage) / 100));
  }
  return Math.min(eligible, canary.size ?? Math.max(1, Math.ceil((eligible * (canary.percentage ?? 0)) / 100)));
};
