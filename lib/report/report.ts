import type { ReportSource } from '../fleet/device.ts';
import { isOfRunningClock, isPlausible, mayBeLate } from './device-clock.ts';

/** What is known about the firmware a device runs for one hardware type. */
export interface KnownVersion {
  firmware_id: number | null;
  reported_version: string;
  firmware_update_dt: Date;
  firmware_update_time: number | null;
  /** When the device was last known to run this version, by a time that can be right. It never goes back. */
  observed_dt: Date;
  /** The same by the clock of the reporter; null: from a time when this was not stored. */
  occurred_dt: Date | null;
  source: ReportSource;
}

/** "At this moment the device ran this version", said by the device (confirmation) or found out by asking (observation). */
export interface VersionReport {
  version: string;
  firmware_id: number | null;
  /** By the clock of the reporter. */
  occurred_dt: Date;
  /** When the report came. */
  received_dt: Date;
  /** When the device was registered. */
  registered_dt: Date;
  /** When the command was sent that this report answers, if that is certain. */
  asked_dt?: Date | null | undefined;
  /** Whether it says that the last command is done. Then nothing that was known before is newer than this report. */
  isAnswer?: boolean;
  /** When a report with exactly the same version and time was stored, if the history has one. */
  told_dt?: Date | null;
  /** Since when the device has run the version, if that is known. A device reports a change at once; an observation finds it long after. */
  since_dt?: Date | undefined;
  source: ReportSource;
}

/**
 * - `changed`: the device runs another version than was known;
 * - `seen`: the same version, seen later than before;
 * - `repeated`: nothing new;
 * - `outdated`: something newer is known already.
 */
export type ReportEffect = 'changed' | 'seen' | 'repeated' | 'outdated';

const trust: Readonly<Record<ReportSource, number>> = { package: 0, observation: 1, feedback: 2, confirmation: 3, config_data: 4 };

/**
 * What is known after a report. A pure function of both, so that tests can try every order.
 *
 * The latest report about a device counts. If the times of two reports can both be right, these decide which is later, whatever the order in
 * which the reports came. Otherwise the report that came later is the later one, and counts as of the moment when it came.
 */
export const applyReport = (known: KnownVersion | undefined, report: VersionReport): { effect: ReportEffect; known: KnownVersion } => {
  if (known && isRepetition(report, known)) return { effect: 'repeated', known };
  if (known && isToldAgain(report, known)) return { effect: 'outdated', known };
  const isDated = isPlausible(report) && !(known && followsByArrival(report, known));
  if (known && isDated && !supersedes(report, known)) return { effect: 'outdated', known };
  const { version, firmware_id, occurred_dt, since_dt, source } = report;
  const observed_dt = isDated ? occurred_dt : latest(report.received_dt, known?.observed_dt);
  if (known?.reported_version === version) {
    return { effect: 'seen', known: { ...known, firmware_id, observed_dt, occurred_dt, source } };
  }
  return {
    effect: 'changed',
    known: {
      firmware_id,
      reported_version: version,
      firmware_update_dt: since_dt && isDated && since_dt < observed_dt ? since_dt : observed_dt,
      firmware_update_time: null,
      observed_dt,
      occurred_dt,
      source,
    },
  };
};

const statedBy = ({ occurred_dt, observed_dt }: KnownVersion): Date => occurred_dt ?? observed_dt;

/** Whether the same was told before, by a source of at least the same rank. */
const isRepetition = (report: VersionReport, known: KnownVersion): boolean =>
  report.version === known.reported_version &&
  report.occurred_dt.getTime() === statedBy(known).getTime() &&
  trust[report.source] <= trust[known.source];

/**
 * Whether a report was stored before what is known now, and comes again. Not if it states the time of the last report: the clock may stand
 * still. Nor if the command that it answers was sent after the stored one: the clock may begin anew with each start of the device.
 */
const isToldAgain = (report: VersionReport, known: KnownVersion): boolean => {
  const { told_dt, asked_dt, occurred_dt, isAnswer } = report;
  if (!told_dt || isAnswer || (asked_dt && told_dt < asked_dt)) return false;
  return isOfRunningClock(report) && occurred_dt.getTime() !== statedBy(known).getTime();
};

/** Whether a report whose time can be right, and is not later than that of what is known, is newer nevertheless. */
const followsByArrival = (report: VersionReport, known: KnownVersion): boolean => {
  if (report.occurred_dt > known.observed_dt) return false;
  if (report.isAnswer) return true;
  if (report.occurred_dt.getTime() === known.observed_dt.getTime()) return false;
  const stated = {
    occurred_dt: statedBy(known),
    received_dt: known.observed_dt,
    registered_dt: report.registered_dt,
    source: known.source,
  };
  return !isPlausible(stated) || !mayBeLate(report, known.observed_dt);
};

/**
 * Decides between two reports about the same moment. The device's own word wins over an observation, and an observation over a conclusion from a
 * package. Between equal sources the greater version text wins, which is arbitrary, but does not depend on the order.
 */
const supersedes = (report: VersionReport, known: KnownVersion): boolean => {
  const later = report.occurred_dt.getTime() - known.observed_dt.getTime();
  if (later !== 0) return later > 0;
  const trusted = trust[report.source] - trust[known.source];
  if (trusted !== 0) return trusted > 0;
  return report.version > known.reported_version;
};

const latest = (one: Date, other: Date | undefined): Date => (other && other > one ? other : one);

/**
 * The report about a part of a package that the device has begun to run: it had the part when the package was installed. Reports about the
 * part itself since then are newer, and stay.
 */
export const toPartReport = (
  { firmware_update_dt }: KnownVersion,
  part: { version: string; firmware_id: number },
  { received_dt, registered_dt }: Pick<VersionReport, 'received_dt' | 'registered_dt'>,
): VersionReport => ({ ...part, occurred_dt: firmware_update_dt, received_dt, registered_dt, source: 'package' });
