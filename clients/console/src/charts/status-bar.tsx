import type { Update } from '../../../api/src/index.ts';
import { formatNumber, formatShare } from '../format.ts';
import { text } from '../text.ts';
import { ExecutionIcon, type ExecutionStatus, executionStatuses } from '../ui/status.tsx';
import { totalOf } from '../update/situation.ts';

type Counts = Update['counts'];

interface Part {
  status: ExecutionStatus;
  count: number;
  /** Both of 100. */
  from: number;
  width: number;
}

/** A part that is there is seen, however small it is. */
const smallestWidth = 0.6;

export const partsOf = (counts: Counts): Part[] => {
  const total = totalOf(counts);
  const present = executionStatuses.filter((status) => counts[status] > 0);
  const wanted = present.map((status) => Math.max(smallestWidth, (100 * counts[status]) / total));
  const sum = wanted.reduce((all, width) => all + width, 0);
  let from = 0;
  return present.map((status, index) => {
    const width = (100 * (wanted[index] ?? 0)) / sum;
    const part = { status, count: counts[status], from, width };
    from += width;
    return part;
  });
};

const Bar = ({ counts, height, label }: { counts: Counts; height: number; label: string }) => (
  <svg className="status-bar" viewBox={`0 0 100 ${height}`} height={height} preserveAspectRatio="none" role="img" aria-label={label}>
    <rect className="track" width="100" height={height} />
    {partsOf(counts).map(({ status, from, width }) => (
      <rect key={status} className={`fill-${status.toLowerCase()}`} x={from} width={width} height={height} />
    ))}
  </svg>
);

/** In a row of a list. */
export const SmallStatusBar = ({ counts, progress }: { counts: Counts; progress: number }) => (
  <span className="small-bar">
    <Bar counts={counts} height={8} label={text.update.barOf(counts)} />
    <span className="number">{formatShare(progress)}</span>
  </span>
);

/** Without the words beside it. */
export const StatusBarPlain = ({ counts }: { counts: Counts }) => <Bar counts={counts} height={8} label={text.update.barOf(counts)} />;

/** The bar and what its parts are. Each of them filters what is below. */
export const StatusBar = ({
  counts,
  chosen,
  onChoose,
}: {
  counts: Counts;
  chosen: ExecutionStatus | undefined;
  onChoose: (status: ExecutionStatus | undefined) => void;
}) => {
  const total = totalOf(counts);
  const usual: readonly ExecutionStatus[] = ['SUCCEEDED', 'IN_PROGRESS', 'QUEUED', 'FAILED'];
  return (
    <div className="status-bar-block">
      <Bar counts={counts} height={22} label={text.update.barOf(counts)} />
      <ul className="legend" aria-label={text.update.legend}>
        {executionStatuses
          .filter((status) => counts[status] > 0 || usual.includes(status))
          .map((status) => (
            <li key={status}>
              <button type="button" aria-pressed={chosen === status} onClick={() => onChoose(chosen === status ? undefined : status)}>
                <ExecutionIcon status={status} />
                <span className="word">{text.executionStatus[status]}</span>
                <strong className="number">{formatNumber(counts[status])}</strong>
                <span className="share number">{total === 0 ? '' : formatShare(counts[status] / total)}</span>
              </button>
            </li>
          ))}
      </ul>
    </div>
  );
};
