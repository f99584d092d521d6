import { addSeconds } from '../clock.ts';
import type { ReportSource } from '../fleet/device.ts';

/** What a stated time is held against. */
export interface StatedTime {
  occurred_dt: Date;
  source: ReportSource;
  /** When the report came. */
  received_dt: Date;
  /** When the device was registered. */
  registered_dt: Date;
  /** When the command was sent that the report is an answer to, where that is certain. */
  asked_dt?: Date | null | undefined;
}

/** What the backend knows of a device may be from long before the device was registered here. */
const longestSilenceSeconds = 365 * 86_400;

/**
 * Whether a stated time can be right. Clocks of devices begin at 1970, stand still, or run ahead, and nothing is refused for that: a time that
 * cannot be right decides nothing, and the report counts as of the moment in which it came.
 */
export const isPlausible = ({ occurred_dt, source, received_dt, registered_dt, asked_dt }: StatedTime): boolean => {
  // Concluded here, from a time that was judged before.
  if (source === 'package') return true;
  if (occurred_dt > received_dt || (asked_dt && occurred_dt < asked_dt)) return false;
  // The backend's clock is right; what it tells is as old as the device's last word.
  return occurred_dt >= (source === 'observation' ? addSeconds(registered_dt, -longestSilenceSeconds) : registered_dt);
};

/** A report may be under way for a day: as long as an outage between the device and this service may last. */
export const longestUnderWaySeconds = 86_400;

/**
 * Whether a report may have been overtaken on its way by what is known already. One that says to be older still is new, by a clock that was
 * put back.
 */
export const mayBeLate = ({ occurred_dt, source }: Pick<StatedTime, 'occurred_dt' | 'source'>, known_dt: Date): boolean =>
  source === 'observation' || source === 'package' || occurred_dt >= addSeconds(known_dt, -longestUnderWaySeconds);
