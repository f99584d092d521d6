import { type DayOfWeek, daysOfWeek, type MaintenanceWindow } from './maintenance-window.ts';

/**
 * Windows follow the local clock: a window is open whenever this clock shows a time in it, on a day on which it has opened. When summer time
 * begins and the clock jumps over a window's beginning, the window opens at the jump; if the clock jumps over the whole window, it does not open
 * on that day. When summer time ends, an hour that comes twice is open twice.
 */
export interface LocalWindows {
  /** By its name in the IANA database. */
  time_zone: string;
  /** Open is where all of them are. */
  windows: readonly MaintenanceWindow[];
}

const millisecondsPerMinute = 60_000;
const minutesPerDay = 1_440;

/** Formats are kept, because making one takes far longer than using it. */
const formatters = new Map<string, Intl.DateTimeFormat>();
const formatterOf = (timeZone: string): Intl.DateTimeFormat => {
  const known = formatters.get(timeZone);
  if (known) return known;
  const parts = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' } as const;
  const formatter = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', { timeZone, hourCycle: 'h23', ...parts });
  formatters.set(timeZone, formatter);
  return formatter;
};

/** The local time, as minutes since the local beginning of 1970. */
const minuteOf = (moment: Date, timeZone: string): number => {
  const shown = Object.fromEntries(
    formatterOf(timeZone)
      .formatToParts(moment)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = shown;
  return Date.UTC(year, month - 1, day, hour, minute) / millisecondsPerMinute;
};

/** 1970 began on a Thursday. */
const dayOfWeek = (day: number): DayOfWeek => daysOfWeek[(((day + 3) % 7) + 7) % 7] as DayOfWeek;

const minuteOfDay = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

const isMinuteIn = ({ from, until, days }: MaintenanceWindow, minute: number): boolean => {
  const day = Math.floor(minute / minutesPerDay);
  const time = minute - day * minutesPerDay;
  const [opens, closes] = [minuteOfDay(from), minuteOfDay(until)];
  const opensOn = (which: number) => days.includes(dayOfWeek(which));
  if (opens < closes) return opens <= time && time < closes && opensOn(day);
  return (opens <= time && opensOn(day)) || (time < closes && opensOn(day - 1));
};

/** Whether devices may be asked at this moment. */
export const isOpen = ({ time_zone, windows }: LocalWindows, moment: Date): boolean => {
  if (windows.length === 0) return true;
  const minute = minuteOf(moment, time_zone);
  return windows.every((window) => isMinuteIn(window, minute));
};

/** Every day of the week comes within this many days, even if the clock jumps over the window on one of them. */
const daysAhead = 15;

/** When all windows are open next; now, if they are open; null: never, because no time is in all of them. */
export const nextOpening = (local: LocalWindows, moment: Date): Date | null => {
  if (isOpen(local, moment)) return moment;
  const openings = candidatesOf(local, moment).filter((candidate) => candidate > moment && isOpen(local, candidate));
  return openings.length === 0 ? null : new Date(Math.min(...openings.map(Number)));
};

/** The moments at which a window can open: when the clock reaches its beginning, or jumps. */
const candidatesOf = ({ time_zone, windows }: LocalWindows, moment: Date): Date[] => {
  const today = Math.floor(minuteOf(moment, time_zone) / minutesPerDay);
  const days = Array.from({ length: daysAhead + 1 }, (_, i) => today + i);
  const around = [today - 1, ...days, today + daysAhead + 1, today + daysAhead + 2];
  const offsets = new Map(around.map((day) => [day, offsetAt(day * minutesPerDay, time_zone)]));
  return days.flatMap((day) => {
    // A local day begins up to a day before or after the day in UTC.
    const [before, after] = [offsets.get(day - 1) as number, offsets.get(day + 2) as number];
    const shown = windows.map(({ from }) => day * minutesPerDay + minuteOfDay(from));
    const beginnings = [...new Set([before, after])].flatMap((offset) => shown.map((minute) => minute - offset));
    const jump = before === after ? [] : [jumpBetween((day - 1) * minutesPerDay, (day + 2) * minutesPerDay, time_zone)];
    return [...beginnings, ...jump].map((minute) => new Date(minute * millisecondsPerMinute));
  });
};

/** How many minutes the local clock is ahead of UTC. */
const offsetAt = (minute: number, timeZone: string): number => minuteOf(new Date(minute * millisecondsPerMinute), timeZone) - minute;

/** The first minute that has the later offset. The offset changes once between the two moments. */
const jumpBetween = (first: number, second: number, timeZone: string): number => {
  if (second - first <= 1) return second;
  const middle = Math.floor((first + second) / 2);
  return offsetAt(middle, timeZone) === offsetAt(first, timeZone)
    ? jumpBetween(middle, second, timeZone)
    : jumpBetween(first, middle, timeZone);
};
