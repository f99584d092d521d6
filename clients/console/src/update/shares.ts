import type { VersionDays } from '../../../api/src/index.ts';
import type { Moment, Series } from '../charts/area-chart.tsx';

/** So many versions have a colour of their own; all others are one. */
const most = 5;
const tones = ['fill-in_progress', 'fill-succeeded', 'fill-timed_out', 'fill-rejected', 'fill-failed'];
const others = ' others';

/** Devices by version and day: the versions that most devices ran on any day, and all others together. */
export const sharesOf = ({ days }: Pick<VersionDays, 'days'>, othersLabel: string): { series: Series[]; moments: Moment[] } => {
  const peaks = new Map<string, number>();
  for (const { versions } of days)
    for (const { version, devices } of versions) peaks.set(version, Math.max(devices, peaks.get(version) ?? 0));
  const shown = [...peaks]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([version]) => version);
  const moments = days.map(({ day, devices, versions }) => {
    const values = Object.fromEntries(shown.map((version) => [version, versions.find((each) => each.version === version)?.devices ?? 0]));
    const known = Object.values(values).reduce((sum, value) => sum + value, 0);
    return { dt: `${day}T00:00:00Z`, values: { ...values, [others]: devices - known } };
  });
  const series = shown.map((version, index) => ({ key: version, label: version, tone: tones[index] ?? '' }));
  const hasOthers = moments.some(({ values }) => (values[others] ?? 0) > 0);
  return { series: hasOthers ? [...series, { key: others, label: othersLabel, tone: 'fill-queued' }] : series, moments };
};
