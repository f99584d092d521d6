import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { causeOf, PartEndedError, watchParts } from '../../../dev/stack/part-ended.ts';

const endedWith = (end: { code: number | null; signal: string | null }, output: string): string => {
  const logFile = join(mkdtempSync(join(tmpdir(), 'part-ended-')), 'log');
  writeFileSync(logFile, output);
  const { message } = new PartEndedError({ part: 'PostgreSQL', ...end, logFile });
  rmSync(join(logFile, '..'), { recursive: true });
  return message.replaceAll(logFile, 'LOG');
};

describe('a part of the stack that ended by itself', () => {
  it('names the part, that it was killed, and what to do', () => {
    expect(endedWith({ code: null, signal: 'SIGKILL' }, '')).toBe(
      'PostgreSQL ended: killed by SIGKILL.\nSomebody killed it, or the system did because memory ran out. Run the command again.',
    );
  });

  it('shows what it said last', () => {
    expect(endedWith({ code: 7, signal: null }, 'so\nlong\n')).toBe(
      'PostgreSQL ended: exit code 7.\nRun the command again. If it ends again, its last output says why.\nIts last output, from LOG:\nso\nlong',
    );
  });

  it.each([
    'PANIC:  could not write to file "pg_wal/xlogtemp.1": No space left on device',
    "Error: ENOSPC: no space left on device, write '/x'",
    'Error: EDQUOT: disk quota exceeded, write',
  ])('a full disk is told as such: %s', (output) => {
    expect(endedWith({ code: 1, signal: null }, output)).toContain(
      'PostgreSQL ended: exit code 1.\nThere is no disk space left for LOG. Make room, then run the command again.\n',
    );
  });

  it('is the cause of what fails because of it, also when the system tells of it a little later', async () => {
    const end = new Error('PostgreSQL ended');
    const failure = new TypeError('fetch failed');
    expect(await causeOf(failure, new Promise((resolve) => setTimeout(resolve, 20, end)))).toBe(end);
    expect(await causeOf(failure, new Promise(() => {}))).toBe(failure);
  });

  it('is told of, or the work’s own failure is, also by a process in which nothing else runs yet', async () => {
    const module = new URL('../../../dev/stack/part-ended.ts', import.meta.url).href;
    const script = `const { causeOf } = await import(${JSON.stringify(module)});
      console.log((await causeOf(new Error('the port is taken'), new Promise(() => {}))).message);`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
    expect(stdout).toBe('the port is taken\n');
  });

  it('ends what waits for any of the parts', async () => {
    const parts = watchParts();
    const end = new Error('the API ended');
    parts.watch(new Promise(() => {}));
    expect(parts.signal.aborted).toBe(false);
    parts.watch(Promise.resolve(end));
    expect(await parts.ended).toBe(end);
    expect(parts.signal.reason).toBe(end);
  });
});
