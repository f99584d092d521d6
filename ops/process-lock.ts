// A lock file that names the process that holds it. When that process is gone, the lock no longer counts.
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

export class LockTakenError extends Error {
  override name = 'LockTakenError';
  readonly pid: number;
  constructor(file: string, pid: number) {
    super(`${file} is held by process ${pid}.`);
    this.pid = pid;
  }
}

/** Throws `LockTakenError` while another process holds the lock; takes it over when that process is dead or its id belongs to another program. */
export function takeLock(file: string): { release(): void } {
  const own = JSON.stringify({ pid: process.pid, command: commandOf(process.pid) });
  for (;;) {
    try {
      writeFileSync(file, own, { flag: 'wx', mode: 0o600 });
      return {
        release: () => {
          if (read(file) === own) rmSync(file, { force: true });
        },
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const found = read(file);
    if (found === undefined) continue; // released in the meantime
    const holder = parse(found);
    if (holder && commandOf(holder.pid) === holder.command) throw new LockTakenError(file, holder.pid);
    // The dead lock is renamed before it is removed: if two processes find it, one must not remove the new lock of the other.
    const aside = `${file}.${process.pid}`;
    try {
      renameSync(file, aside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      continue;
    }
    if (read(aside) !== found) {
      renameSync(aside, file); // it was the other's: give it back
      continue;
    }
    rmSync(aside, { force: true });
  }
}

/** The command line of a running process; undefined when there is none. `ps` is missing in small containers, `/proc` on a Mac. */
export function commandOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() || undefined;
    return (
      execFileSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() ||
      undefined
    );
  } catch {
    return undefined;
  }
}

const read = (file: string): string | undefined => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
};

const parse = (text: string): { pid: number; command: string } | undefined => {
  try {
    return JSON.parse(text) as { pid: number; command: string };
  } catch {
    return undefined;
  }
};
