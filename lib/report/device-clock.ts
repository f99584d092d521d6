import { addSeconds } from '../clock.ts';
import type { ReportSource } from '../fleet/device.ts';

/** The time that a report states, and the times with which it is compared. */
export interface StatedTime {
  occurred_dt: Date;
  source: ReportSource;
  /** When the report came. */
  received_dt: Date;
  /** When the device was registered. */
  registered_dt: Date;
  /** When the command was sent that this report answers, if that is certain. */
  asked_dt?: Date | null | undefined;
}

/** The backend's knowledge of a device may come from long before the device was registered here. */
const longestSilenceSeconds = 365 * 86_400;

/**
 * Whether a stated time can be right. Clocks of devices begin at 1970, stand still, or run ahead, and no report is refused for that: a time that
 * cannot be right is ignored, and the report counts as of the moment when it came.
 */
export const isPlausible = (stated: StatedTime): boolean => {
  const { occurred_dt, source, asked_dt } = stated;
  return isOfRunningClock(stated) && (source === 'package' || !asked_dt || occurred_dt >= asked_dt);
};

/**
 * Whether a stated time can be that of a clock which runs, though it may be behind. Such times cannot be compared with the service's own clock,
 * but with each other: they tell which of two reports of a device came first.
 */
export const isOfRunningClock = ({ occurred_dt, source, received_dt, registered_dt }: Omit<StatedTime, 'asked_dt'>): boolean => {
  // This service has concluded the report from another one, whose time was judged before.
  if (source === 'package') return true;
  if (occurred_dt > received_dt) return false;
  // The backend's clock is right, but its knowledge is as old as the device's last message to it.
  return occurred_dt >= (source === 'observation' ? addSeconds(registered_dt, -longestSilenceSeconds) : registered_dt);
};

/** A report may be under way for a day, because an outage between the device and this service may last as long. */
export const longestUnderWaySeconds = 86_400;

/**
 * Whether a report may be older than what is known already, because it was under way for long. If its stated time is even older than that, the
 * device's clock was put back, and the report is new.
 */
export const mayBeLate = ({ occurred_dt, source }: Pick<StatedTime, 'occurred_dt' | 'source'>, known_dt: Date): boolean =>
  source === 'observation' || source === 'package' || occurred_dt >= addSeconds(known_dt, -longestUnderWaySeconds);
