import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { stop as stopBundler } from 'esbuild';
import { build } from '../ops/build.ts';
import { createEvent } from '../test/support/http.ts';
import type { Case } from './cases.ts';

/** Of a process that a function has to itself. */
export interface FunctionRun {
  /** Milliseconds from the start of the process to its first answer. */
  firstAnswer: number;
  /** After the calls. */
  rss: number;
  heapUsed: number;
  /** At any time. */
  highestRss: number;
}

export interface Memory extends FunctionRun {
  function: string;
  bundle_bytes: number;
}

/** So many calls of each case. */
const maximumCalls = 100;

/**
 * A new process with nothing but the bundle, that answers the events one after the other. What it logs is of no interest.
 *
 * @param memorySize MB of the function; Lambda gives nine tenths of it to the heap, and a twentieth to what is new in it.
 * @throws when an event is answered otherwise than with 2xx, or a message fails.
 */
export async function runFunction(
  bundle: string,
  events: readonly unknown[],
  { env, memorySize = 512 }: { env: Record<string, string>; memorySize?: number },
): Promise<FunctionRun> {
  const child = fork(fileURLToPath(new URL('function-process.mjs', import.meta.url)), {
    execArgv: [`--max-semi-space-size=${Math.floor(memorySize / 20)}`, `--max-old-space-size=${Math.floor(memorySize * 0.9)}`],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { PATH: process.env['PATH'], ...env },
  });
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`${bundle} ended with code ${code}`)));
  ended.catch(() => {}); // it also ends after its answer
  child.send({ bundle: pathToFileURL(bundle).href, events });
  const [run] = (await Promise.race([once(child, 'message'), ended])) as [FunctionRun];
  return run;
}

/** What a process with nothing but the function's bundle needs for the calls of its cases, as Lambda would run it. */
export async function measureMemory(cases: readonly Case[], env: Record<string, string>): Promise<Memory[]> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-build-'));
  try {
    const sizes = await build({ directory });
    await stopBundler();
    const measured: Memory[] = [];
    for (const [name, own] of Map.groupBy(cases, (c) => c.function)) {
      const events = own.flatMap(({ calls, callOf }) =>
        Array.from({ length: Math.min(calls, maximumCalls) }, (_, i) => createEvent(callOf(i))),
      );
      const run = await runFunction(join(directory, 'functions', name, 'index.js'), events, { env });
      measured.push({ function: name, bundle_bytes: sizes[name]?.minified_bytes ?? 0, ...run });
    }
    return measured;
  } finally {
    await rm(directory, { recursive: true });
  }
}
