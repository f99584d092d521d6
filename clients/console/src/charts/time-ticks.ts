import { scaleTime } from 'd3-scale';
import { formatClock, formatDay, formatShortDateTime } from '../format.ts';

const dayMilliseconds = 86_400_000;

/** Round moments between two, in the viewer's words: seconds where it is about minutes, days where it is about weeks. */
export const timeTicks = (first: Date, last: Date, count: number): { time: Date; label: string }[] => {
  const span = last.getTime() - first.getTime();
  const format = span < dayMilliseconds / 2 ? formatClock : span < 4 * dayMilliseconds ? formatShortDateTime : formatDay;
  return scaleTime([first, last], [0, 1])
    .ticks(count)
    .map((time) => ({ time, label: format(time) }));
};
