import { isOpen, type LocalWindows, nextOpening } from '../fleet/local-time.ts';
import type { MaintenanceWindow } from '../fleet/maintenance-window.ts';

/** The rules of a zone that say when its devices may be asked. */
export interface ZoneWindow {
  /** '': devices without a zone. */
  zone: string;
  /** null: of devices without a zone. */
  time_zone: string | null;
  maintenance_window: MaintenanceWindow | null;
}

/** The rules of an update that say when devices may be asked. */
export interface UpdateWindow {
  window: MaintenanceWindow | null;
  /** Whether devices are asked also outside of their zones' windows. */
  ignore_window: boolean;
}

/** Whether devices of a zone may be asked now; `opens_dt`: when they may be again, null: never. */
export type Opening = { isOpen: true } | { isOpen: false; opens_dt: Date | null };

/** The local time of devices without a zone. */
const timeZoneOfNowhere = 'UTC';

const windowsOf = ({ time_zone, maintenance_window, window, ignore_window }: ZoneWindow & UpdateWindow): LocalWindows => ({
  time_zone: time_zone ?? timeZoneOfNowhere,
  windows: ignore_window ? [] : [maintenance_window, window].filter((each) => each !== null),
});

/** Whether an update may ask devices of a zone now. */
export const mayAsk = (rules: ZoneWindow & UpdateWindow, now: Date): boolean => isOpen(windowsOf(rules), now);

/** The answer for each, in their order. Finding the next opening takes milliseconds, so it is done once for equal windows. */
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
