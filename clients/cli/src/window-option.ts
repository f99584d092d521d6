import { InvalidArgumentError } from 'commander';
import type { MaintenanceWindow, UpdateRequest } from '../../api/src/index.ts';

export const windowHelp = '02:00-05:00, or with days: "22:00-04:00 monday,friday"';

type Days = NonNullable<MaintenanceWindow['days']>;

/** A maintenance window as it is typed. The service knows which days there are. */
export const maintenanceWindow = (text: string): NonNullable<UpdateRequest['window']> => {
  const [, from = '', until = '', days] = /^(\d\d:\d\d)-(\d\d:\d\d)(?: ([a-z,]+))?$/.exec(text) ?? [];
  if (from === '') throw new InvalidArgumentError(`Two times of day are wanted: ${windowHelp}.`);
  return { from, until, ...(days !== undefined && { days: days.split(',') as Days }) };
};

/** `02:00-05:00 monday,friday`, as it is typed; days are left out where it is every day. */
export const describeWindow = (window: Pick<MaintenanceWindow, 'from' | 'until' | 'days'> | null): string | null =>
  window &&
  [`${window.from}-${window.until}`, ...(window.days === undefined || window.days.length === 7 ? [] : [window.days.join()])].join(' ');
