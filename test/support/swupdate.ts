// Debian's SWUpdate as a device: installed where it is missing, fed with packages signed here, run in a folder of its own.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { swupdateConfiguration } from '../../dev/swupdate/swupdate-package.ts';

/** `nobody`: the client must not be able to touch the machine, whatever is in a package. */
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;
const has = (program: string) => spawnSync('which', [program]).status === 0;

/** Undefined when SWUpdate is there, having been installed if need be; else why it cannot be. */
export function findWhySwupdateIsMissing(): string | undefined {
  const wanted = ['swupdate', 'cpio', 'openssl'];
  if (wanted.every(has)) return undefined;
  if (!isRoot || !has('apt-get')) return `${wanted.filter((program) => !has(program)).join(', ')} missing, and no right to install it`;
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const step of [['update'], ['install', '-y', '--no-install-recommends', ...wanted]]) {
    const { status, stderr } = spawnSync('apt-get', ['-qq', ...step], { env: environment, timeout: 240_000, encoding: 'utf8' });
    if (status !== 0) return `apt-get ${step[0]} failed: ${stderr.slice(-500)}`;
  }
  return wanted.every(has) ? undefined : 'apt-get has installed it, and it is still not there';
}

export interface SwupdateOptions {
  url: string;
  controllerId: string;
  token: string;
  certificate: string;
  /** What it tells of itself, as its boot script would have written it. */
  attributes: Record<string, string>;
  /** After a restart: how the last installation has ended (`-c`). */
  confirm?: 'success' | 'failure';
}

export class Swupdate {
  readonly #child: ChildProcess;
  #output = '';

  /** `folder` is the device: everything that it may write to. */
  constructor(folder: string, { url, controllerId, token, certificate, attributes, confirm }: SwupdateOptions) {
    const configuration = join(folder, 'swupdate.cfg');
    writeFileSync(configuration, swupdateConfiguration(attributes));
    chmodSync(configuration, 0o644);
    const suricatta = `-t default -u ${url} -i ${controllerId} -k ${token} -p 2${confirm ? ` -c ${confirm === 'success' ? 2 : 3}` : ''}`;
    this.#child = spawn(
      'swupdate',
      ['-f', configuration, '-H', 'board:1.0', '-k', certificate, '-B', 'none', '-M', '-m', '-l', '5', '-u', suricatta],
      {
        cwd: folder,
        // Its sockets are there, too.
        env: { PATH: process.env['PATH'], TMPDIR: folder },
        stdio: ['ignore', 'pipe', 'pipe'],
        // With its children, which outlive it otherwise.
        detached: true,
        ...(isRoot && { uid: nobody, gid: nobody }),
      },
    );
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk) => {
        this.#output += String(chunk);
      });
    }
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get output(): string {
    return this.#output;
  }

  async stop(): Promise<void> {
    if (this.#child.pid === undefined || !this.isRunning) return;
    const exited = once(this.#child, 'exit');
    process.kill(-this.#child.pid, 'SIGTERM');
    const kill = setTimeout(() => this.#child.pid !== undefined && process.kill(-this.#child.pid, 'SIGKILL'), 3_000);
    await exited;
    clearTimeout(kill);
  }
}

/** A folder that the client can write to as `nobody`, and others need not know of. */
export function createDeviceFolder(): { folder: string; read(name: string): string | undefined; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'device-'));
  if (isRoot) chownSync(folder, nobody, nobody);
  chmodSync(folder, 0o755);
  return {
    folder,
    read(name) {
      try {
        return readFileSync(join(folder, name), 'utf8');
      } catch {
        return undefined;
      }
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Where `npm test` leaves what clients have printed, for whoever looks into a failure. */
export function keepOutput(directory: string, name: string, text: string): string {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${name}.log`);
  writeFileSync(file, text);
  return file;
}

export const copyReadable = (from: string, to: string): string => {
  cpSync(from, to);
  chmodSync(to, 0o644);
  return to;
};
