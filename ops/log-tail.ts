import { readFileSync } from 'node:fs';

/** The last lines of a log file, for an error message; empty when there is no such file. */
export function logTail(file: string, lines = 15): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}
