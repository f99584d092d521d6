import { useQuery } from '@tanstack/react-query';
import type { Stats } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { AreaChart } from '../charts/area-chart.tsx';
import { Histogram } from '../charts/histogram.tsx';
import { formatDuration, formatNumber, formatShare } from '../format.ts';
import { linkTo, runnersLink, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { Select } from '../ui/controls.tsx';
import { Page, Section } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { type Column, Scrolling, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { sharesOf } from '../update/shares.ts';

type TypeStats = Stats['hardware_types'][number];

export const StatisticsPage = () => {
  const api = useApi();
  const [query, change] = useQueryOfPage();
  const stats = useQuery({ queryKey: ['stats'], queryFn: ({ signal }) => api.getStats({}, { signal }), refetchInterval: 60_000 });
  const types = stats.data?.hardware_types.filter(({ devices }) => devices > 0) ?? [];
  const chosen = types.find(({ hardware_type }) => hardware_type === query.get('type')) ?? mostUpdated(types);
  return (
    <Page
      title={text.statistics.title}
      lead={
        stats.data && (
          <>
            {text.statistics.asOf} <Time dt={stats.data.generated_dt} />
          </>
        )
      }
    >
      <Answer query={stats} lines={10}>
        {(data) =>
          chosen === undefined ? (
            <Empty>{text.statistics.none}</Empty>
          ) : (
            <>
              <Matrix types={types} />
              <ZoneMatrix zones={data.zones} types={types} />
              <div className="filters">
                <Select
                  label={text.firmwares.type}
                  value={chosen.hardware_type}
                  options={types.map(({ hardware_type }) => ({ value: hardware_type, label: hardware_type }))}
                  onChange={(value) => change({ type: value })}
                />
              </div>
              <Versions type={chosen} />
              <SharesOverTime hardwareType={chosen.hardware_type} />
              <UpdateTimes type={chosen} />
              <NotSeen stats={data} />
            </>
          )
        }
      </Answer>
    </Page>
  );
};

const mostUpdated = (types: readonly TypeStats[]): TypeStats | undefined =>
  types.toSorted((a, b) => (b.update_times?.installations ?? 0) - (a.update_times?.installations ?? 0))[0];

const columnsOfMatrix = 6;

/** Versions per hardware type, the most frequent first; a field leads to the devices that run that version. */
const Matrix = ({ types }: { types: readonly TypeStats[] }) => (
  <Section title={text.statistics.matrix}>
    <Scrolling className="matrix" label={text.statistics.matrix}>
      <table>
        <thead>
          <tr>
            <th scope="col">{text.firmwares.type}</th>
            <th scope="col" colSpan={columnsOfMatrix}>
              {text.statistics.versionsByShare}
            </th>
            <th scope="col" className="number">
              {text.fleet.unknown}
            </th>
          </tr>
        </thead>
        <tbody>
          {types.map(({ hardware_type, versions, newest, on_unknown_version }) => (
            <tr key={hardware_type}>
              <th scope="row">{hardware_type}</th>
              {Array.from({ length: columnsOfMatrix }, (_, index) => {
                const version = versions[index];
                return version ? (
                  // biome-ignore lint/suspicious/noArrayIndexKey: the places of a table
                  <td key={index} className={`cell heat-${heatOf(version.share)}`}>
                    <a href={runnersLink(hardware_type, version.version)}>
                      {version.firmware_id === null ? <em title={text.fleet.unknown}>{version.version}</em> : version.version}
                      {version.firmware_id === newest?.firmware_id && <span title={text.fleet.newest}> ✓</span>}
                      <span className="small">
                        {formatNumber(version.devices)} · {formatShare(version.share)}
                      </span>
                    </a>
                  </td>
                ) : (
                  // biome-ignore lint/suspicious/noArrayIndexKey: the places of a table
                  <td key={index} />
                );
              })}
              <td className="number">
                {on_unknown_version.devices > 0 ? (
                  <a href={linkTo('/fleet', { compare: 'unknown', type: hardware_type })}>{formatNumber(on_unknown_version.devices)}</a>
                ) : (
                  '–'
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  </Section>
);

/** 0 to 4: from few to nearly all. */
export const heatOf = (share: number): number => (share >= 0.75 ? 4 : share >= 0.4 ? 3 : share >= 0.1 ? 2 : share > 0.01 ? 1 : 0);

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

const Versions = ({ type }: { type: TypeStats }) => (
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

type ZoneStats = Stats['zones'][number];

/** What devices run in each zone, of each hardware type: a version leads to the devices that run it there. */
const ZoneMatrix = ({ zones, types }: { zones: readonly ZoneStats[]; types: readonly TypeStats[] }) => {
  if (zones.every(({ zone }) => zone === null)) return null;
  return (
    <Section title={text.statistics.byZone}>
      <Scrolling className="matrix" label={text.statistics.byZone}>
        <table>
          <thead>
            <tr>
              <th scope="col">{text.fleet.zone}</th>
              {types.map(({ hardware_type }) => (
                <th key={hardware_type} scope="col">
                  {hardware_type}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {zones.map(({ zone, hardware_types }) => (
              <tr key={zone ?? ''}>
                <th scope="row">{zone ?? text.zones.without}</th>
                {types.map((type) => (
                  <ZoneCell
                    key={type.hardware_type}
                    zone={zone}
                    type={type}
                    here={hardware_types.find(({ hardware_type }) => hardware_type === type.hardware_type)}
                  />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolling>
    </Section>
  );
};

const versionsInCell = 3;

/** Coloured by the share of its devices that run the newest version. */
const ZoneCell = ({
  zone,
  type: { hardware_type, newest },
  here,
}: {
  zone: string | null;
  type: TypeStats;
  here: ZoneStats['hardware_types'][number] | undefined;
}) => {
  if (!here) return <td />;
  const onNewest = here.versions.find(({ version }) => version === newest?.version)?.devices ?? 0;
  return (
    <td className={`heat-${heatOf(onNewest / Math.max(1, here.devices))}`}>
      <ul>
        {here.versions.slice(0, versionsInCell).map(({ version, devices }) => (
          <li key={version} className="number">
            <a href={runnersLink(hardware_type, version, { zone: zone ?? 'none' })}>{version}</a>{' '}
            <span className="beside">{formatShare(devices / Math.max(1, here.devices))}</span>
          </li>
        ))}
      </ul>
    </td>
  );
};

const daysShown = 90;

const SharesOverTime = ({ hardwareType }: { hardwareType: string }) => {
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

const UpdateTimes = ({ type: { hardware_type, update_times } }: { type: TypeStats }) => (
  <Section title={text.statistics.timesOf(hardware_type)}>
    {update_times === null ? (
      <Empty>{text.statistics.noTimes}</Empty>
    ) : (
      <>
        <Histogram
          label={text.statistics.timesOf(hardware_type)}
          buckets={update_times.histogram.map(({ from_seconds, until_seconds, installations }) => ({
            from: from_seconds,
            until: until_seconds,
            count: installations,
          }))}
          marks={[
            { name: 'p50', seconds: update_times.p50_seconds },
            { name: 'p90', seconds: update_times.p90_seconds },
            { name: 'p99', seconds: update_times.p99_seconds },
          ]}
        />
        <div className="tiles">
          {(
            [
              ['p50', update_times.p50_seconds],
              ['p90', update_times.p90_seconds],
              ['p99', update_times.p99_seconds],
              [text.statistics.longest, update_times.max_seconds],
            ] as const
          ).map(([name, seconds]) => (
            <div className="tile" key={name}>
              <span className="figure">{formatDuration(seconds)}</span>
              <span>{name}</span>
            </div>
          ))}
          <div className="tile">
            <span className="figure">{formatNumber(update_times.installations)}</span>
            <span>{text.statistics.installations}</span>
          </div>
        </div>
      </>
    )}
  </Section>
);

const NotSeen = ({ stats }: { stats: Stats }) => (
  <Section title={text.statistics.notSeen(stats.not_seen_days)}>
    <ul className="plain">
      {stats.devices.map(({ kind, devices, not_seen, never_seen }) => (
        <li key={kind}>
          <a href={linkTo('/fleet', { kind, not_seen_days: String(stats.not_seen_days) })}>
            {text.statistics.notSeenOf(kind, not_seen, never_seen, devices)}
          </a>
        </li>
      ))}
    </ul>
  </Section>
);
