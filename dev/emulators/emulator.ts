// An emulator of AWS as a child process, from the first line of its log to its end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readComposeFile } from '../../ops/compose-file.ts';
import { logTail } from '../../ops/log-tail.ts';
import { pythonEnvironment } from '../../ops/python-environment.ts';
import { freePort } from '../stack/free-port.ts';

export interface Emulator {
  name: 'ministack' | 'localstack';
  /** The base address of every service. */
  endpoint: string;
  log_file: string;
  stop(): Promise<void>;
}

interface Options {
  /** For its data and its log. */
  directory: string;
  port?: number;
  onStep?: ((text: string) => void) | undefined;
}

const HERE = dirname(fileURLToPath(import.meta.url));
const NODE_BIN = join(HERE, '..', '..', 'node_modules', '.bin');
const REGION = 'eu-central-1';
const READY_SECONDS = 120;

/** MiniStack runs functions on this Node, checks every signature and every permission, and keeps everything in memory. */
export async function startMinistack(options: Options): Promise<Emulator> {
  const requirements = join(HERE, 'requirements-ministack.txt');
  const bin = await pythonEnvironment({
    ...{ name: 'ministack', install: ['-r', requirements], madeOf: [requirements], minimumMinor: 10 },
    ...(options.onStep && { onStep: options.onStep }),
  });
  return start('ministack', join(bin, 'ministack'), [], options, (port) => ({
    ...{ GATEWAY_PORT: String(port), BIND_HOST: '127.0.0.1', MINISTACK_HOST: '127.0.0.1', MINISTACK_REGION: REGION, AUTH: 'true' },
  }));
}

/** The LocalStack of localstack-compose.yml without Docker: functions run as processes by a plug-in (localstack-host-executor/). */
export async function startLocalstack(options: Options): Promise<Emulator> {
  const requirements = join(HERE, 'requirements-localstack.txt');
  const executor = join(HERE, 'localstack-host-executor');
  const bin = await pythonEnvironment({
    ...{ name: 'localstack', install: ['-r', requirements, executor], minimumMinor: 12 },
    madeOf: [requirements, join(executor, 'ls_host_executor.py'), join(executor, 'pyproject.toml')],
    ...(options.onStep && { onStep: options.onStep }),
  });
  return start('localstack', join(bin, 'python'), ['-m', 'localstack.runtime.main'], options, (port) => ({
    ...readComposeFile().services.localstack.environment,
    ...{
      GATEWAY_LISTEN: `127.0.0.1:${port}`,
      LOCALSTACK_HOST: `127.0.0.1:${port}`,
      FILESYSTEM_ROOT: join(options.directory, 'localstack'),
    },
    ...{ OVERRIDE_IN_DOCKER: '0', DNS_ADDRESS: '0' },
    ...{ LAMBDA_RUNTIME_EXECUTOR: 'host', LAMBDA_NODE_BIN: join(NODE_BIN, 'node') },
  }));
}

async function start(
  name: Emulator['name'],
  program: string,
  args: string[],
  { directory, port: wanted }: Options,
  settings: (port: number) => Record<string, string>,
): Promise<Emulator> {
  const port = wanted ?? (await freePort());
  const log_file = join(directory, `${name}.log`);
  const log = openSync(log_file, 'w', 0o600);
  // A clean environment, because MiniStack passes its own on to every function.
  const PATH = [NODE_BIN, process.env['PATH']].join(delimiter);
  const child = spawn(program, args, {
    ...{ cwd: directory, detached: true, stdio: ['ignore', log, log] as const },
    env: { HOME: directory, LANG: 'C.UTF-8', PATH, ...settings(port) },
  });
  closeSync(log);
  const exited = once(child, 'exit').catch(() => {});
  const killGroup = (signal: NodeJS.Signals) => {
    // The process group is ended, which contains the functions' processes.
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // It has ended already.
    }
  };
  const onExit = () => killGroup('SIGKILL');
  process.on('exit', onExit);
  const stop = async () => {
    killGroup('SIGTERM');
    const kill = setTimeout(() => killGroup('SIGKILL'), 5_000);
    await exited;
    clearTimeout(kill);
    killGroup('SIGKILL');
    process.off('exit', onExit);
  };

  const endpoint = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + READY_SECONDS * 1_000;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
      throw new Error(`${name} ended. Its last output:\n${logTail(log_file)}`);
    const answer = await fetch(`${endpoint}/_localstack/health`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
    if (answer?.ok) return { name, endpoint, log_file, stop };
    if (Date.now() > deadline) {
      await stop();
      throw new Error(`${name} does not answer after ${READY_SECONDS} s:\n${logTail(log_file)}`);
    }
    await sleep(200);
  }
}
