// `serverless offline` as a child process: the API and the Lambda port of the very serverless.yml that is deployed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { logTail } from '../../ops/log-tail.ts';
import { PartEndedError } from './part-ended.ts';

export interface ServerlessOffline {
  api_url: string;
  lambda_url: string;
  /** Settles when the process ends without `stop` having been called, with an error that shows its last output. */
  died: Promise<Error>;
  stop(): Promise<void>;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What Node has compiled in former runs: half of the processor time of a start would go into compiling the same files again. */
const COMPILED = join(ROOT, '.build', 'compiled');
const READY_SECONDS = 60;
const STOP_SECONDS = 10;

/** Resolves when `GET /v1/health` answers 200. Functions' logs go to `logFile`. */
export async function startServerlessOffline(options: {
  httpPort: number;
  lambdaPort: number;
  logFile: string;
  env: Record<string, string>;
  signal?: AbortSignal | undefined;
}): Promise<ServerlessOffline> {
  const { httpPort, lambdaPort, logFile, signal } = options;
  const program = createRequire(import.meta.url).resolve('serverless/bin/serverless.js');
  const log = openSync(logFile, 'w', 0o600);
  const child = spawn(
    process.execPath,
    [
      ...['--import', new URL('./end-with-parent.mjs', import.meta.url).href],
      ...['--import', new URL('./offline-problems.ts', import.meta.url).href, program, 'offline', '--stage', 'offline', '--noSponsor'],
      ...['--host', '127.0.0.1', '--httpPort', String(httpPort), '--lambdaPort', String(lambdaPort)],
    ],
    // A session of its own: Ctrl-C on the terminal must not end the functions before the queue consumers have finished their work.
    {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...inheritedEnv(), NODE_COMPILE_CACHE: COMPILED, ...options.env },
    },
  );
  closeSync(log);
  const exited = (once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>).catch((): [null, null] => [null, null]);
  let isStopping = false;

  const died = exited.then(([code, signal]) => new PartEndedError({ part: 'The API (serverless offline)', code, signal, logFile }));

  const stop = async () => {
    isStopping = true;
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_SECONDS * 1_000);
      await exited;
      clearTimeout(kill);
    }
  };

  const api_url = `http://127.0.0.1:${httpPort}`;
  const deadline = Date.now() + READY_SECONDS * 1_000;
  let lastAnswer = 'no answer';
  try {
    for (;;) {
      signal?.throwIfAborted();
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) throw await died;
      const answer = await fetch(`${api_url}/v1/health`, { signal: AbortSignal.timeout(10_000) }).catch(() => undefined);
      if (answer) lastAnswer = `${answer.status} ${await answer.text()}`;
      if (answer?.ok) break;
      if (Date.now() > deadline)
        throw new Error(`${api_url}/v1/health is not ready after ${READY_SECONDS} s: ${lastAnswer}\n${logTail(logFile)}`);
      await sleep(100);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    api_url,
    lambda_url: `http://127.0.0.1:${lambdaPort}`,
    died: new Promise((resolve) => void died.then((error) => !isStopping && resolve(error))),
    stop,
  };
}

/** Without what would lead the functions into somebody's real cloud. */
const inheritedEnv = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(AWS_|SLS_|SERVERLESS_|VITEST|NODE_OPTIONS)/.test(name)));
