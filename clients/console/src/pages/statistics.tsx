import { useQuery } from '@tanstack/react-query';
import type { Stats } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { linkTo, useQueryOfPage } from '../location.ts';
import { Matrix, ZoneMatrix } from '../statistics/matrices.tsx';
import { UpdateTimes } from '../statistics/update-times.tsx';
import { SharesOverTime, Versions } from '../statistics/versions.tsx';
import { text } from '../text.ts';
import { Select } from '../ui/controls.tsx';
import { Page, Section } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { Time } from '../ui/time.tsx';

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
