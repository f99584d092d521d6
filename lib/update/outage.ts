import { addSeconds, secondsBetween } from '../clock.ts';

/** Time in which devices could not be heard: the service took no step, or something that it needs was away. Outages may overlap. */
export interface Outage {
  began_dt: Date;
  ended_dt: Date;
}

/** The times that do not count for the deadlines of an update. */
export interface Outages {
  outages: Outage[];
  /** When the update was paused. Nobody was asked then, but whoever had been asked was heard: this counts for what waits only. */
  pauses: Outage[];
}

/**
 * Goes back from now until so many seconds without an outage have been collected, and answers the moment where they begin. A deadline of that
 * length has passed for everything that began before this moment. Without outages this is simply `seconds` ago.
 */
export const heardSince = (now: Date, seconds: number, outages: readonly Outage[]): Date => {
  let moment = now;
  let left = seconds;
  for (const { began_dt, ended_dt } of latestFirst(outages)) {
    const heard = Math.max(0, secondsBetween(ended_dt, moment));
    if (heard >= left) break;
    left -= heard;
    if (ended_dt < moment) moment = ended_dt;
    if (began_dt < moment) moment = began_dt;
  }
  return addSeconds(moment, -left);
};

const latestFirst = (outages: readonly Outage[]): Outage[] => outages.toSorted((a, b) => b.ended_dt.getTime() - a.ended_dt.getTime());
