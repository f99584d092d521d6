// Numbers and times as the viewer is used to them: their language's format, their time zone.

const language = navigator.languages;
const number = new Intl.NumberFormat(language);
const percent = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 });
const wholePercent = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 });
const dateTime = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' });
const shortDateTime = new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const clock = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short' });
const list = new Intl.ListFormat(language, { type: 'conjunction' });

export const formatNumber = (value: number): string => number.format(value);
/** Of a share from 0 to 1. What is not all is never shown as 100 %, and what is not nothing never as 0 %. */
export const formatShare = (share: number): string => {
  if (share > 0.9995 && share < 1) return percent.format(0.999);
  if (share > 0 && share < 0.0005) return `< ${percent.format(0.001)}`;
  return percent.format(share);
};
export const formatWholeShare = (share: number): string => wholePercent.format(share >= 1 ? 1 : Math.min(0.99, share));
export const formatDateTime = (dt: string | Date): string => dateTime.format(new Date(dt));
export const formatShortDateTime = (dt: string | Date): string => shortDateTime.format(new Date(dt));
export const formatClock = (dt: string | Date): string => clock.format(new Date(dt));
export const formatClockIn = (dt: Date, timeZone: string): string =>
  new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit', timeZone }).format(dt);
export const formatDay = (dt: string | Date): string => day.format(new Date(dt));
const weekday = new Intl.DateTimeFormat(language, { weekday: 'short', timeZone: 'UTC' });
/** 0 is Monday. */
export const formatWeekday = (index: number): string => weekday.format(new Date(Date.UTC(2024, 0, 1 + index)));
export const formatList = (items: readonly string[]): string => list.format(items);
export const viewerTimeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];
const relative = new Intl.RelativeTimeFormat(language, { numeric: 'always', style: 'short' });

/** `5 min ago`, `in 2 days`. */
export const formatRelative = (dt: string | Date, now: Date): string => {
  const seconds = (new Date(dt).getTime() - now.getTime()) / 1_000;
  const [unit, size] = units.find(([, each]) => Math.abs(seconds) >= each) ?? (['second', 1] as const);
  return relative.format(Math.trunc(seconds / size), unit as Intl.RelativeTimeFormatUnit);
};

/** `4.2 s`, `3 min 20 s`, `2 h 5 min`. */
export const formatDuration = (seconds: number): string => {
  if (seconds < 10) return `${number.format(Math.round(seconds * 10) / 10)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), Math.round(seconds % 60)];
  if (minutes < 60) return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${number.format(Math.round(hours / 24))} d`;
};

export const formatBytes = (bytes: number): string => {
  const [unit, size] = (
    [
      ['GB', 1e9],
      ['MB', 1e6],
      ['kB', 1e3],
    ] as const
  ).find(([, each]) => bytes >= each) ?? ['B', 1];
  return `${number.format(Math.round((bytes / size) * 10) / 10)} ${unit}`;
};
