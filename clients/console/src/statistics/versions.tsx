// The versions of one hardware type: how many devices run each, how long it took, and since when.
import { useQuery } from '@tanstack/react-query';
import type { Stats } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { AreaChart } from '../charts/area-chart.tsx';
import { formatDuration, formatNumber, formatShare } from '../format.ts';
import { linkTo, runnersLink } from '../location.ts';
import { text } from '../text.ts';
import { Section } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { type Column, Table } from '../ui/table.tsx';
import { sharesOf } from '../update/shares.ts';

type TypeStats = Stats['hardware_types'][number];
type VersionStats = TypeStats['versions'][number] & { times: TypeStats['firmware_update_times'][number] | undefined };

const versionColumns = (hardware_type: string): readonly Column<VersionStats>[] => [
  {
    title: text.firmwares.version,
    cell: ({ version, firmware_id }) =>
      firmware_id === null ? <em title={text.fleet.unknown}>{version}</em> : <a href={linkTo(`/firmwares/${firmware_id}`)}>{version}</a>,
  },
  {
    title: text.statistics.share,
    cell: ({ share }) => (
      <span className="small-bar">
        <svg className="share-bar" viewBox="0 0 100 8" preserveAspectRatio="none" height="8" aria-hidden="true">
          <rect className="track" width="100" height="8" />
          <rect className="fill-accent" width={100 * share} height="8" />
        </svg>
        <span className="number">{formatShare(share)}</span>
      </span>
    ),
  },
  {
    title: text.firmwares.devices,
    cell: ({ devices, version }) => <a href={runnersLink(hardware_type, version)}>{formatNumber(devices)}</a>,
    isNumber: true,
  },
  { title: 'p50', cell: ({ times }) => (times ? formatDuration(times.p50_seconds) : '–'), isNumber: true },
  { title: 'p90', cell: ({ times }) => (times ? formatDuration(times.p90_seconds) : '–'), isNumber: true },
  { title: 'p99', cell: ({ times }) => (times ? formatDuration(times.p99_seconds) : '–'), isNumber: true, isMinor: true },
  {
    title: text.statistics.installations,
    cell: ({ times }) => (times ? formatNumber(times.installations) : '–'),
    isNumber: true,
    isMinor: true,
  },
];

export const Versions = ({ type }: { type: TypeStats }) => (
  <Section title={text.statistics.versionsOf(type.hardware_type)}>
    <Table
      label={text.statistics.versionsOf(type.hardware_type)}
      columns={versionColumns(type.hardware_type)}
      rows={type.versions.map((version) => ({
        ...version,
        times: type.firmware_update_times.find(({ firmware_id }) => firmware_id === version.firmware_id),
      }))}
      keyOf={({ version, firmware_id }) => `${firmware_id} ${version}`}
    />
    {type.other_versions.versions > 0 && (
      <p className="small">{text.statistics.others(type.other_versions.versions, type.other_versions.devices)}</p>
    )}
  </Section>
);

const daysShown = 90;

export const SharesOverTime = ({ hardwareType }: { hardwareType: string }) => {
  const api = useApi();
  const label = text.statistics.overTime(hardwareType);
  const query = useQuery({
    queryKey: ['version days', hardwareType],
    queryFn: ({ signal }) => api.getVersionDays({ hardware_type: hardwareType, days: daysShown }, { signal }),
    staleTime: 300_000,
  });
  return (
    <Section title={label}>
      <Answer query={query} lines={6}>
        {(data) =>
          data.days.length < 2 ? (
            <Empty>{text.statistics.tooFewDays}</Empty>
          ) : (
            <AreaChart label={label} {...sharesOf(data, text.statistics.otherVersions)} />
          )
        }
      </Answer>
    </Section>
  );
};
