import { scaleLinear } from 'd3-scale';
import { formatDuration, formatNumber } from '../format.ts';
import { text } from '../text.ts';
import { useWidth } from './use-width.ts';

export interface Bucket {
  /** Seconds; null: no end. */
  from: number;
  until: number | null;
  count: number;
}

const height = 180;
const margin = { top: 18, right: 8, bottom: 22, left: 48 };

/** Each bucket as wide as the others, because they grow: seconds at first, hours at last. Percentiles are marks between them. */
export const Histogram = ({
  label,
  buckets,
  marks,
}: {
  label: string;
  buckets: readonly Bucket[];
  marks: readonly { name: string; seconds: number }[];
}) => {
  const { element, width } = useWidth();
  const most = Math.max(1, ...buckets.map(({ count }) => count));
  const y = scaleLinear([0, most], [height - margin.bottom, margin.top]);
  const room = Math.max(1, width - margin.left - margin.right);
  const step = room / Math.max(1, buckets.length);
  const everyNth = Math.max(1, Math.ceil(58 / step));
  return (
    <div className="chart" ref={element}>
      {width > 0 && (
        <svg width={width} height={height} role="img" aria-label={label}>
          {y.ticks(4).map((tick) => (
            <g key={tick} transform={`translate(0 ${y(tick)})`}>
              <line className="grid" x1={margin.left} x2={width - margin.right} />
              <text className="tick" x={margin.left - 6} dy="0.32em" textAnchor="end">
                {formatNumber(tick)}
              </text>
            </g>
          ))}
          {buckets.map(({ from, until, count }, index) => (
            <g key={from}>
              <rect
                className="fill-accent"
                x={margin.left + index * step + 1}
                width={Math.max(1, step - 2)}
                y={y(count)}
                height={height - margin.bottom - y(count)}
              >
                <title>{text.charts.bucket(from, until, count)}</title>
              </rect>
              {index % everyNth === 0 && (
                <text className="tick" x={margin.left + index * step} y={height - 6} textAnchor={index === 0 ? 'start' : 'middle'}>
                  {formatDuration(from)}
                </text>
              )}
            </g>
          ))}
          {marks.map(({ name, seconds }) => {
            const x = margin.left + placeOf(seconds, buckets) * step;
            return (
              <g key={name}>
                <line className="pointer" x1={x} x2={x} y1={margin.top - 4} y2={height - margin.bottom} />
                <text className="tick" x={x} y={margin.top - 7} textAnchor="middle">
                  {name}
                </text>
              </g>
            );
          })}
        </svg>
      )}
    </div>
  );
};

/** Where among the buckets so many seconds are: 2.5 is the middle of the third. */
export const placeOf = (seconds: number, buckets: readonly Bucket[]): number => {
  const index = buckets.findIndex(({ from, until }) => seconds >= from && (until === null || seconds < until));
  const bucket = buckets[index];
  if (!bucket) return seconds < (buckets[0]?.from ?? 0) ? 0 : buckets.length;
  if (bucket.until === null) return index + 0.5;
  return index + (seconds - bucket.from) / (bucket.until - bucket.from);
};
