import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { stop as stopBundler } from 'esbuild';
import { build } from '../dev/build.ts';
import { createEvent } from '../test/support/http.ts';
import type { Case } from './cases.ts';

export interface Memory {
  function: string;
  bundle_bytes: number;
  /** After the calls. */
  rss: number;
  heapUsed: number;
  /** At any time. */
  highestRss: number;
}

/** So many calls of each case. */
const maximumCalls = 100;

/** What a process with nothing but the function's bundle needs for the calls of its cases, as Lambda would run it. */
export async function measureMemory(cases: readonly Case[], env: Record<string, string>): Promise<Memory[]> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-build-'));
  try {
    const sizes = await build({ directory });
    await stopBundler();
    const measured: Memory[] = [];
    for (const [name, own] of Map.groupBy(cases, (c) => c.function)) {
      // What it logs is of no interest here.
      const child = fork(fileURLToPath(new URL('function-process.mjs', import.meta.url)), {
        // As Lambda sets them for 512 MB.
        execArgv: ['--max-semi-space-size=25', '--max-old-space-size=460'],
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        env: { PATH: process.env['PATH'], ...env },
      });
      const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`${name} ended with code ${code}`)));
      ended.catch(() => {}); // it also ends after its answer
      const events = own.flatMap(({ calls, callOf }) =>
        Array.from({ length: Math.min(calls, maximumCalls) }, (_, i) => createEvent(callOf(i))),
      );
      child.send({ bundle: pathToFileURL(join(directory, 'functions', name, 'index.mjs')).href, events });
      const [memory] = (await Promise.race([once(child, 'message'), ended])) as [Pick<Memory, 'rss' | 'heapUsed' | 'highestRss'>];
      measured.push({ function: name, bundle_bytes: sizes[name]?.minified_bytes ?? 0, ...memory });
    }
    return measured;
  } finally {
    await rm(directory, { recursive: true });
  }
}
