import { count, type Dimensions, type Metrics, seconds } from '../metrics.ts';
import type { Stats, UpdateTimes } from './stats.ts';

/** For each hardware type: how many of the most frequent versions, and how many of the newest firmwares' update times. Each series costs money. */
const maximumSeries = 5;

/** Publishes the numbers of the fleet as metrics, whenever somebody asks for them, because there is no timer. */
export const publishStats = (metrics: Metrics, { devices, hardware_types, updates, executions, tables, sequences }: Stats): void => {
  for (const { kind, devices: all, not_seen, never_seen } of devices) {
    metrics.publish({ devices: count(all), devices_not_seen: count(not_seen), devices_never_seen: count(never_seen) }, { kind });
  }
  for (const { hardware_type, ...type } of hardware_types) {
    metrics.publish(
      {
        devices: count(type.devices),
        devices_on_newest: count(type.on_newest.devices),
        devices_on_unknown_version: count(type.on_unknown_version.devices),
      },
      { hardware_type },
    );
    for (const version of type.versions.filter(({ firmware_id }) => firmware_id !== null).slice(0, maximumSeries)) {
      metrics.publish({ devices: count(version.devices) }, { hardware_type, version: version.version });
    }
    if (type.update_times) publishTimes(metrics, type.update_times, { hardware_type });
    for (const times of type.update_times?.by_scooter_version ?? []) {
      publishTimes(metrics, times, { hardware_type, scooter_version: String(times.scooter_version ?? 'none') });
    }
    for (const { version, ...times } of type.firmware_update_times.slice(0, maximumSeries)) {
      publishTimes(metrics, times, { hardware_type, version });
    }
  }
  for (const [status, n] of Object.entries(updates)) metrics.publish({ updates: count(n) }, { status });
  for (const [status, n] of Object.entries(executions)) metrics.publish({ executions: count(n) }, { status });
  const [fullest] = sequences;
  if (fullest) metrics.publish({ ids_left_percent: count(Math.floor(fullest.left * 100)) });
  for (const { table, rows } of tables) if (rows !== null) metrics.publish({ table_rows: count(rows) }, { table });
};

const publishTimes = (metrics: Metrics, times: UpdateTimes, dimensions: Dimensions): void => {
  const { installations, mean_seconds, p50_seconds, p90_seconds, p99_seconds, max_seconds } = times;
  metrics.publish(
    {
      installations: count(installations),
      update_time_mean: seconds(mean_seconds),
      update_time_p50: seconds(p50_seconds),
      update_time_p90: seconds(p90_seconds),
      update_time_p99: seconds(p99_seconds),
      update_time_max: seconds(max_seconds),
    },
    dimensions,
  );
};
