// A maintenance window as it is filled in.
import type { MaintenanceWindow, MaintenanceWindowOutput } from '../../../api/src/index.ts';

export const daysOfWeek = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;
export type DayOfWeek = (typeof daysOfWeek)[number];

export interface WindowDraft {
  /** `02:00`; empty: not filled in. */
  from: string;
  until: string;
  days: readonly DayOfWeek[];
}

export const noWindow: WindowDraft = { from: '', until: '', days: daysOfWeek };

export const fromWindow = (window: MaintenanceWindowOutput | null): WindowDraft =>
  window === null ? noWindow : { from: window.from, until: window.until, days: window.days };

/** Whether it is a window, or none at all. */
export const isWindow = ({ from, until, days }: WindowDraft): boolean =>
  (from === '' && until === '') || (from !== '' && until !== '' && from !== until && days.length > 0);

export const toWindow = ({ from, until, days }: WindowDraft): MaintenanceWindow | null =>
  from === '' && until === '' ? null : { from, until, days: [...days] };
