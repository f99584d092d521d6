import { useEffect, useState } from 'react';
import { formatClockIn, formatDateTime, formatRelative, formatShortDateTime } from '../format.ts';

/** This moment, anew every so many milliseconds. */
export const useNow = (milliseconds = 1_000): Date => {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
  return now;
};

/** A moment in the viewer's time zone; the exact one when pointed at. */
export const Time = ({ dt, isRelative = false }: { dt: string | null | undefined; isRelative?: boolean }) => {
  if (!dt) return <span className="none">–</span>;
  return (
    <time dateTime={dt} title={formatDateTime(dt)}>
      {isRelative ? formatRelative(dt, new Date()) : formatShortDateTime(dt)}
    </time>
  );
};

/** By the clock on the wall there. */
export const TimeThere = ({ timeZone }: { timeZone: string }) => {
  const now = useNow(20_000);
  return <>{formatClockIn(now, timeZone)}</>;
};
