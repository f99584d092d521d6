import { addSeconds, type Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DeviceKind } from '../fleet/device.ts';
import type { Metrics } from '../metrics.ts';
import { toShownGate } from '../update/backend-gate.ts';
import { noCounts } from '../update/execution.ts';
import { publishLateUpdates } from '../update/late-updates.ts';
import { updateStatuses } from '../update/update-status.ts';
import { bucketsOf, summarize } from './histogram.ts';
import { publishStats } from './publish-stats.ts';
import { type HardwareTypeStats, type Stats, shareOf, type TimesByScooterVersion } from './stats.ts';
import { type CountedHardwareType, type CountedUpdateTimes, countFleet } from './stats-queries.ts';

export interface GetStatsDeps {
  db: Db;
  metrics?: Metrics;
  now: Clock;
}

const secondsPerDay = 86_400;

/** The numbers of the fleet, in one round trip that costs the same for ten devices and a million. Also publishes them as metrics. */
export async function getStats({ db, metrics, now }: GetStatsDeps, not_seen_days: number): Promise<Stats> {
  const generated_dt = now();
  const counted = await countFleet(db, addSeconds(generated_dt, -not_seen_days * secondsPerDay), generated_dt);
  const stats: Stats = {
    generated_dt,
    not_seen_days,
    devices: DeviceKind.options.map(
      (kind) => counted.devices.find((d) => d.kind === kind) ?? { kind, devices: 0, not_seen: 0, never_seen: 0 },
    ),
    hardware_types: counted.hardware_types.map((type) => ({ ...sharesOf(type), ...timesOf(counted.update_times, type.hardware_type) })),
    zones: counted.zones,
    updates: { ...noUpdates(), ...counted.updates },
    executions: { ...noCounts(), ...counted.executions },
    late_updates: counted.late_updates,
    backend_gate: toShownGate(counted.gate, generated_dt),
    tables: counted.tables,
    sequences: counted.sequences,
  };
  if (metrics) publishStats(metrics, stats);
  publishLateUpdates(metrics, stats.late_updates);
  return stats;
}

const noUpdates = () => Object.fromEntries(updateStatuses.map((status) => [status, 0])) as Stats['updates'];

type Times = Pick<HardwareTypeStats, 'update_times' | 'firmware_update_times'>;

const sharesOf = (type: CountedHardwareType): Omit<HardwareTypeStats, keyof Times> => {
  const { hardware_type, device_kind, newest, devices, versions, on_newest, on_unknown, unknown_versions, most_run } = type;
  const amount = (n: number) => ({ devices: n, share: shareOf(n, devices) });
  const inMostRun = most_run.reduce((sum, version) => sum + version.devices, 0);
  return {
    hardware_type,
    device_kind,
    devices,
    newest,
    on_newest: amount(on_newest),
    on_unknown_version: { ...amount(on_unknown), versions: unknown_versions },
    versions: most_run.map((version) => ({ ...version, ...amount(version.devices) })),
    other_versions: { ...amount(devices - inMostRun), versions: versions - most_run.length },
  };
};

const timesOf = (rows: readonly CountedUpdateTimes[], hardwareType: string): Times => {
  const own = rows.filter(({ hardware_type }) => hardware_type === hardwareType);
  const all = own.find(({ firmware }) => firmware === null);
  return {
    update_times: all ? toTimes(all.histograms) : null,
    firmware_update_times: own.flatMap(({ firmware, histograms }) => (firmware ? [{ ...firmware, ...toTimes(histograms) }] : [])),
  };
};

const toTimes = (histograms: CountedUpdateTimes['histograms']): TimesByScooterVersion => ({
  ...summarize(histograms),
  histogram: bucketsOf(histograms),
  by_scooter_version: histograms.map((histogram) => ({ scooter_version: histogram.scooter_version || null, ...summarize([histogram]) })),
});
