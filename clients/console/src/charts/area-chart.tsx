import { scaleLinear, scaleTime } from 'd3-scale';
import { area, curveLinear, curveStepAfter, stack } from 'd3-shape';
import { useState } from 'react';
import { formatDateTime, formatNumber } from '../format.ts';
import { text } from '../text.ts';
import { Scrolling } from '../ui/table.tsx';
import { timeTicks } from './time-ticks.ts';
import { useWidth } from './use-width.ts';

export interface Series {
  key: string;
  label: string;
  /** The class that colours it. */
  tone: string;
}

export interface Moment {
  dt: string;
  /** By the series' keys. */
  values: Readonly<Record<string, number>>;
}

const height = 190;
const margin = { top: 8, right: 8, bottom: 22, left: 48 };

/** Numbers over time, one upon the other. The same numbers stand in a table below, for who cannot see the picture. */
export const AreaChart = ({
  label,
  series,
  moments,
  isStepped = false,
}: {
  label: string;
  series: readonly Series[];
  moments: readonly Moment[];
  isStepped?: boolean;
}) => {
  const { element, width } = useWidth();
  const [pointed, setPointed] = useState<number>();
  const times = moments.map(({ dt }) => new Date(dt));
  const [first = new Date(0), last = first] = [times[0], times.at(-1)];
  const x = scaleTime([first, last], [margin.left, Math.max(margin.left + 1, width - margin.right)]);
  const most = Math.max(1, ...moments.map(({ values }) => series.reduce((sum, { key }) => sum + (values[key] ?? 0), 0)));
  const y = scaleLinear([0, most], [height - margin.bottom, margin.top]);
  const layers = stack<Moment>()
    .keys(series.map(({ key }) => key))
    .value(({ values }, key) => values[key] ?? 0)([...moments]);
  const shape = area<[number, number]>()
    .x((_, index) => x(times[index] ?? first))
    .y0(([low]) => y(low))
    .y1(([, high]) => y(high))
    .curve(isStepped ? curveStepAfter : curveLinear);
  const nearest = (place: number): number => {
    const time = x.invert(place).getTime();
    return times.reduce((best, each, index) => {
      const distance = Math.abs(each.getTime() - time);
      return distance < Math.abs((times[best] ?? first).getTime() - time) ? index : best;
    }, 0);
  };
  const shown = pointed === undefined ? undefined : moments[pointed];
  return (
    <div className="chart" ref={element}>
      {width > 0 && (
        <svg
          width={width}
          height={height}
          role="img"
          aria-label={label}
          onPointerMove={(event) => setPointed(nearest(event.clientX - event.currentTarget.getBoundingClientRect().left))}
          onPointerLeave={() => setPointed(undefined)}
        >
          {y.ticks(4).map((tick) => (
            <g key={tick} transform={`translate(0 ${y(tick)})`}>
              <line className="grid" x1={margin.left} x2={width - margin.right} />
              <text className="tick" x={margin.left - 6} dy="0.32em" textAnchor="end">
                {formatNumber(tick)}
              </text>
            </g>
          ))}
          {layers.map((layer, index) => (
            <path key={layer.key} className={`area ${series[index]?.tone}`} d={shape(layer as unknown as [number, number][]) ?? ''} />
          ))}
          {timeTicks(first, last, Math.max(2, Math.floor(width / 130))).map(({ time, label: words }) => (
            <text key={time.getTime()} className="tick" x={x(time)} y={height - 6} textAnchor="middle">
              {words}
            </text>
          ))}
          {pointed !== undefined && (
            <line
              className="pointer"
              x1={x(times[pointed] ?? first)}
              x2={x(times[pointed] ?? first)}
              y1={margin.top}
              y2={height - margin.bottom}
            />
          )}
        </svg>
      )}
      <ul className="legend-line">
        {series.map(({ key, label: name, tone }) => (
          <li key={key}>
            <i className={tone} aria-hidden="true" /> {name}
            {shown && <strong className="number">{formatNumber(shown.values[key] ?? 0)}</strong>}
          </li>
        ))}
        <li className="moment">{shown ? formatDateTime(shown.dt) : ' '}</li>
      </ul>
      <details className="numbers">
        <summary>{text.charts.asTable}</summary>
        <Scrolling label={label}>
          <table>
            <thead>
              <tr>
                <th scope="col">{text.charts.time}</th>
                {series.map(({ key, label: name }) => (
                  <th key={key} scope="col" className="number">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {moments.map(({ dt, values }) => (
                <tr key={dt}>
                  <td>{formatDateTime(dt)}</td>
                  {series.map(({ key }) => (
                    <td key={key} className="number">
                      {formatNumber(values[key] ?? 0)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolling>
      </details>
    </div>
  );
};
