import { useQuery } from '@tanstack/react-query';
import type { UpdateDetail } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { AreaChart } from '../charts/area-chart.tsx';
import { text } from '../text.ts';
import { Section } from '../ui/page.tsx';
import { Answer } from '../ui/states.tsx';
import { executionStatuses } from '../ui/status.tsx';
import { pollBeside } from './situation.ts';

const points = 120;

/** From the times that executions carry; asked for less often than the numbers above, because it changes slowly. */
export const OverTime = ({ update }: { update: UpdateDetail }) => {
  const api = useApi();
  const isOpen = update.finished_dt === null;
  const query = useQuery({
    // Once more when it has ended: the last point is its end then.
    queryKey: ['update', update.id, 'timeline', isOpen],
    queryFn: ({ signal }) => api.getUpdateTimeline(update.id, { points }, { signal }),
    refetchInterval: pollBeside(update, 15_000),
    placeholderData: (before) => before,
    enabled: update.executions_removed_dt === null && update.started_dt !== null,
  });
  if (update.executions_removed_dt !== null || update.started_dt === null) return null;
  return (
    <Section title={text.update.overTime}>
      <Answer query={query} lines={6}>
        {({ points: moments }) => (
          <AreaChart
            label={text.update.overTimeLabel}
            series={executionStatuses
              .filter((status) => moments.some(({ counts }) => counts[status] > 0))
              .map((status) => ({ key: status, label: text.executionStatus[status], tone: `fill-${status.toLowerCase()}` }))}
            moments={moments.map(({ dt, counts }) => ({ dt, values: counts }))}
          />
        )}
      </Answer>
    </Section>
  );
};
