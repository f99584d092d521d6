import type { ReportSource } from '../fleet/device.ts';

/** What is known about the firmware a device runs for one hardware type. */
export interface KnownVersion {
  firmware_id: number | null;
  reported_version: string;
  firmware_update_dt: Date;
  firmware_update_time: number | null;
  observed_dt: Date;
  source: ReportSource;
}

/** "At this moment the device ran this version", said by the device (confirmation) or found out by asking (observation). */
export interface VersionReport {
  version: string;
  firmware_id: number | null;
  occurred_dt: Date;
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

/** A report may come from a clock that is a little ahead of ours, not more. */
export const maximumClockAheadSeconds = 300;

const trust: Readonly<Record<ReportSource, number>> = { package: 0, observation: 1, feedback: 2, confirmation: 3, config_data: 4 };

/**
 * The truth about a device is the latest report, whatever the order in which reports arrive. Of two reports about the same moment the
 * device's own wins over a poll, and a poll over what is concluded from a package; of two that are equal in this too, the greater version
 * text, which is arbitrary but the same in every order.
 */
const supersedes = (report: VersionReport, known: KnownVersion): boolean => {
  const later = report.occurred_dt.getTime() - known.observed_dt.getTime();
  if (later !== 0) return later > 0;
  const trusted = trust[report.source] - trust[known.source];
  if (trusted !== 0) return trusted > 0;
  return report.version > known.reported_version;
};

/** What is known after a report. A pure function of both, so that tests can try every order. */
export const applyReport = (known: KnownVersion | undefined, report: VersionReport): { effect: ReportEffect; known: KnownVersion } => {
  if (known && !supersedes(report, known)) {
    const isSame = report.version === known.reported_version && report.occurred_dt.getTime() === known.observed_dt.getTime();
    return { effect: isSame ? 'repeated' : 'outdated', known };
  }
  const { version, firmware_id, occurred_dt, since_dt, source } = report;
  if (known?.reported_version === version) {
    return { effect: 'seen', known: { ...known, firmware_id, observed_dt: occurred_dt, source } };
  }
  return {
    effect: 'changed',
    known: {
      firmware_id,
      reported_version: version,
      firmware_update_dt: since_dt && since_dt < occurred_dt ? since_dt : occurred_dt,
      firmware_update_time: null,
      observed_dt: occurred_dt,
      source,
    },
  };
};

/**
 * What a report says of a part of the package that the device has come to run: that it had the part when the package was installed.
 * Whatever has been reported about the part itself since then is newer, and stays.
 */
export const toPartReport = ({ firmware_update_dt }: KnownVersion, part: { version: string; firmware_id: number }): VersionReport => ({
  ...part,
  occurred_dt: firmware_update_dt,
  source: 'package',
});
