import { isOpen, type LocalWindows, nextOpening } from '../fleet/local-time.ts';
import type { MaintenanceWindow } from '../fleet/maintenance-window.ts';

/** Where devices stand, as far as that says when they may be asked. */
export interface ZoneWindow {
  /** '': devices without a zone. */
  zone: string;
  /** null: of devices without a zone. */
  time_zone: string | null;
  maintenance_window: MaintenanceWindow | null;
}

/** What an update says of that itself. */
export interface UpdateWindow {
  window: MaintenanceWindow | null;
  /** Also outside the windows of zones. */
  ignore_window: boolean;
}

/** Whether devices of a zone may be asked now; `opens_dt`: when they may be again, null: never. */
export type Opening = { isOpen: true } | { isOpen: false; opens_dt: Date | null };

/** What devices without a zone have for local time. */
const timeZoneOfNowhere = 'UTC';

const windowsOf = ({ time_zone, maintenance_window, window, ignore_window }: ZoneWindow & UpdateWindow): LocalWindows => ({
  time_zone: time_zone ?? timeZoneOfNowhere,
  windows: ignore_window ? [] : [maintenance_window, window].filter((each) => each !== null),
});

/** Whether an update may ask devices of a zone now. */
export const mayAsk = (rules: ZoneWindow & UpdateWindow, now: Date): boolean => isOpen(windowsOf(rules), now);

/** Of each, in their order. To look for the next opening takes milliseconds, and mostly there are many with the same windows. */
export const openingsOf = (rules: readonly (ZoneWindow & UpdateWindow)[], now: Date): Opening[] => {
  const found = new Map<string, Opening>();
  return rules.map((each) => {
    const local = windowsOf(each);
    const key = JSON.stringify(local);
    const opening = found.get(key) ?? (isOpen(local, now) ? { isOpen: true } : { isOpen: false, opens_dt: nextOpening(local, now) });
    found.set(key, opening);
    return opening;
  });
};

/** Binary fractions make 28.999999999999996 of 29 % of 100. */
const rounding = 1e-9;

/** How many devices may be at work in a zone of so many: at least one always may. */
export const budgetOf = (percentage: number, devices: number): number => Math.max(1, Math.floor((percentage * devices) / 100 + rounding));
