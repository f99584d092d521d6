import { type Canary, canaryDefaults } from '../rules.ts';
import type { CanaryPlan } from '../update.ts';

/** An update of fewer devices has no canary unless asked for: it would be most of the update. */
const smallestUpdateWithCanary = 200;
/** So few that a bad firmware reaches less than 1 % of a fleet of 10,000, so many that a failure rate of 2 % does not stop a good one. */
const defaultCanaryPercentage = 0.5;
const smallestDefaultCanary = 50;

/** How many devices are asked first; null: all at once. The canary may be larger than what is eligible now, if others come later. */
export const canarySizeOf = (canary: Canary | null | undefined, eligible: number, growsLater = false): number | null => {
  if (canary === null) return null;
  if (canary === undefined) {
    if (eligible < smallestUpdateWithCanary) return null;
    return Math.max(smallestDefaultCanary, Math.ceil((eligible * defaultCanaryPercentage) / 100));
  }
  const size = canary.size ?? Math.max(1, Math.ceil((eligible * (canary.percentage ?? 0)) / 100));
  return growsLater ? size : Math.min(eligible, size);
};

/** The canary of an update of so many devices; null: none. */
export const planCanary = (canary: Canary | null | undefined, eligible: number, growsLater = false): CanaryPlan | null => {
  const size = canarySizeOf(canary, eligible, growsLater);
  if (size === null) return null;
  const { minimum_wait_minutes, success_percentage, percentage } = { ...canaryDefaults, ...canary };
  return { size, ...(percentage !== undefined && { percentage }), minimum_wait_minutes, success_percentage };
};

/** The canary as the caller requested it, for an update of other devices; null: there was no canary. */
export const requestedCanary = ({ size, percentage, ...rest }: CanaryPlan): Canary | null => {
  if (percentage !== undefined) return { percentage, ...rest };
  return size === 0 ? null : { size, ...rest };
};
