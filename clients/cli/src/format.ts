/** What a cell of a table or a CSV file may hold. */
export type Cell = string | number | boolean | null | undefined;

const grouped = new Intl.NumberFormat('en');

export const formatNumber = (number: number): string => grouped.format(number);

export const formatShare = (share: number): string => `${Math.floor(share * 1000) / 10} %`;

/** 2026-11-26 04:41:05Z */
export const formatTime = (time: string | null | undefined): string | null => (time ? `${time.slice(0, 19).replace('T', ' ')}Z` : null);

export const formatBytes = (bytes: number | null): string | null => {
  if (bytes === null) return null;
  if (bytes < 1_000) return `${bytes} B`;
  const power = Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1_000 ** power).toFixed(1)} ${['B', 'kB', 'MB', 'GB'][power]}`;
};

/** 45 s, 12 min, 3 h 20 min */
export const formatDuration = (seconds: number): string => {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

export const bar = (share: number, width: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}`;
};

/** `20 FAILED, 500 SUCCEEDED`, without those that are none. */
export const formatCounts = (counts: Partial<Record<string, number>> | null): string =>
  Object.entries(counts ?? {})
    .filter(([, count]) => count)
    .map(([name, count]) => `${formatNumber(count ?? 0)} ${name}`)
    .join(', ');
