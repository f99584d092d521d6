// The messages to the user when a part of the stack ends by itself, or fails because the disk is full.
import { statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { logTail } from '../../ops/log-tail.ts';

/** With less than this, PostgreSQL cannot begin another file of its log, and no part can write its log. */
const FULL_BYTES = 16 * 1024 * 1024;
const NO_SPACE = /ENOSPC|EDQUOT|No space left on device|Disk quota exceeded|database or disk is full/;

/** A child process has ended although nobody stopped it. The message says which, how it ended, what to do, and its last output. */
export class PartEndedError extends Error {
  override name = 'PartEndedError';
  constructor({ part, code, signal, logFile }: { part: string; code: number | null; signal: string | null; logFile: string }) {
    const output = logTail(logFile);
    super(
      [
        `${part} ended: ${signal === null ? `exit code ${code}` : `killed by ${signal}`}.`,
        isDiskFull(logFile) || NO_SPACE.test(output) ? noSpaceLeft(logFile) : adviceFor(signal),
        ...(output === '' ? [] : [`Its last output, from ${logFile}:`, output]),
      ].join('\n'),
    );
  }
}

const adviceFor = (signal: string | null): string =>
  signal === 'SIGKILL'
    ? 'Somebody killed it, or the system did because memory ran out. Run the command again.'
    : 'Run the command again. If it ends again, its last output says why.';

/** What to do about a full disk. */
export const noSpaceLeft = (path: string): string => `There is no disk space left for ${path}. Make room, then run the command again.`;

export const isNoSpaceError = (error: unknown): boolean => NO_SPACE.test(String(error));

function isDiskFull(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize < FULL_BYTES;
  } catch {
    return false;
  }
}

/** The cause of an error: if a part ends within a second of it, that is the cause; otherwise the error itself. */
export const causeOf = (error: unknown, partEnded: Promise<Error>): Promise<unknown> =>
  // The timer keeps the process alive; otherwise it could end before the message is printed.
  Promise.race([partEnded, sleep(1_000, error)]);

/** Waits for the first of several parts that ends. The signal is aborted with its error. */
export function watchParts(): { watch(died: Promise<Error>): void; ended: Promise<Error>; signal: AbortSignal } {
  const controller = new AbortController();
  const { promise: ended, resolve } = Promise.withResolvers<Error>();
  const tell = (error: Error) => {
    resolve(error);
    controller.abort(error);
  };
  return { watch: (died) => void died.then(tell), ended, signal: controller.signal };
}
