import type { ReportSource } from '../fleet/device.ts';
import { isPlausible, mayBeLate } from './device-clock.ts';

/** What is known about the firmware a device runs for one hardware type. */
export interface KnownVersion {
  firmware_id: number | null;
  reported_version: string;
  firmware_update_dt: Date;
  firmware_update_time: number | null;
  /** When it was so, as far as that can be believed. It never goes back. */
  observed_dt: Date;
  /** When it was so by the clock of whoever told it; null: this was not kept then. */
  occurred_dt: Date | null;
  source: ReportSource;
}

/** "At this moment the device ran this version", said by the device (confirmation) or found out by asking (observation). */
export interface VersionReport {
  version: string;
  firmware_id: number | null;
  /** By the clock of whoever tells it. */
  occurred_dt: Date;
  /** When the report came. */
  received_dt: Date;
  /** When the device was registered. */
  registered_dt: Date;
  /** When the command was sent that the report is an answer to, where that is certain. */
  asked_dt?: Date | null | undefined;
  /** Whether it says that the command at work is done: nothing that was known before is newer than that. */
  isAnswer?: boolean;
  /** Whether the history has the very same: it is told again, and not by a clock that was put back. */
  wasTold?: boolean;
  /** Since when, where that is known; a device's own report comes when it changes, a poll long after. */
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
 * The truth about a device is the latest report. Between two whose times can both be right, the times decide, whatever the order in which
 * they came. Otherwise the later one is the one that came later, and counts as of the moment in which it came.
 */
export const applyReport = (known: KnownVersion | undefined, report: VersionReport): { effect: ReportEffect; known: KnownVersion } => {
  if (known && isRepetition(report, known)) return { effect: 'repeated', known };
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

/** The same was told before, by somebody who is believed as much. */
const isRepetition = (report: VersionReport, known: KnownVersion): boolean =>
  report.version === known.reported_version &&
  report.occurred_dt.getTime() === statedBy(known).getTime() &&
  trust[report.source] <= trust[known.source];

/** Whether a report whose own time can be right, but is earlier, is newer all the same. */
const followsByArrival = (report: VersionReport, known: KnownVersion): boolean => {
  if (report.occurred_dt >= known.observed_dt) return false;
  const stated = {
    occurred_dt: statedBy(known),
    received_dt: known.observed_dt,
    registered_dt: report.registered_dt,
    source: known.source,
  };
  return (report.isAnswer ?? false) || !isPlausible(stated) || !(report.wasTold || mayBeLate(report, known.observed_dt));
};

/**
 * Of two reports about the same moment the device's own wins over a poll, and a poll over what is concluded from a package; of two that
 * are equal in this too, the greater version text, which is arbitrary but the same in every order.
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
 * What a report says of a part of the package that the device has come to run: that it had the part when the package was installed.
 * Whatever has been reported about the part itself since then is newer, and stays.
 */
export const toPartReport = (
  { firmware_update_dt }: KnownVersion,
  part: { version: string; firmware_id: number },
  { received_dt, registered_dt }: Pick<VersionReport, 'received_dt' | 'registered_dt'>,
): VersionReport => ({ ...part, occurred_dt: firmware_update_dt, received_dt, registered_dt, source: 'package' });
