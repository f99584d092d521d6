import type { Stats } from '../../../api/src/index.ts';
import { Histogram } from '../charts/histogram.tsx';
import { formatDuration, formatNumber } from '../format.ts';
import { text } from '../text.ts';
import { Section } from '../ui/page.tsx';
import { Empty } from '../ui/states.tsx';

type TypeStats = Stats['hardware_types'][number];

/** How long the updates of one hardware type have taken. */
export const UpdateTimes = ({ type: { hardware_type, update_times } }: { type: TypeStats }) => (
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
