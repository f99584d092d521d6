// How much processor time processes have used, by Linux' own book-keeping.
import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second. */
const millisecondsPerTick = 10;

/** The fields of /proc/<pid>/stat from the third on: the name before them may have blanks. */
const statOf = (pid: number | string): string[] => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
};
const sumOf = (fields: readonly string[], first: number, count: number): number =>
  fields.slice(first, first + count).reduce((sum, field) => sum + Number(field), 0);

export const parentOf = (pid: number): number => Number(statOf(pid)[1]);

/** Milliseconds of a process. */
export const processorTime = (pid: number): number => sumOf(statOf(pid), 11, 2) * millisecondsPerTick;

/** The same of a process, its children, and those of them that have ended. */
export const processorTimeOfFamily = (pid: number): number => {
  const children = readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const fields = statOf(name);
      return Number(fields[1]) === pid ? [sumOf(fields, 11, 2)] : [];
    } catch {
      return []; // it has just ended
    }
  });
  return (children.reduce((sum, ticks) => sum + ticks, 0) + sumOf(statOf(pid), 11, 4)) * millisecondsPerTick;
};
