// Debian's SWUpdate as a device: installed where it is missing, fed with packages signed here, run in a folder of its own.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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

export interface Signer {
  certificate: string;
  key: string;
}

/** A key and its certificate with the purpose that SWUpdate asks for. */
export function createSigner(directory: string, name = 'signer'): Signer {
  const signer = { certificate: join(directory, `${name}.cert.pem`), key: join(directory, `${name}.key.pem`) };
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-addext',
        'extendedKeyUsage=emailProtection',
      ],
      ...['-keyout', signer.key, '-out', signer.certificate],
    ],
    { stdio: 'ignore' },
  );
  return signer;
}

export interface PackageContent {
  version: string;
  /** Where SWUpdate writes each file. */
  files: { path: string; bytes: Buffer; sha256?: string }[];
  hardware?: string;
}

/** A .swu: sw-description, its signature, then the files, in cpio's crc format. */
export function buildPackage(directory: string, signer: Signer, { version, files, hardware = '1.0' }: PackageContent): Buffer {
  const folder = mkdtempSync(join(directory, 'package-'));
  const parts = files.map(({ path, bytes, sha256 }, i) => {
    const filename = `part-${i}.bin`;
    writeFileSync(join(folder, filename), bytes);
    const digest = sha256 ?? createHash('sha256').update(bytes).digest('hex');
    return { filename, text: `{ filename = "${filename}"; path = "${path}"; type = "rawfile"; sha256 = "${digest}"; }` };
  });
  writeFileSync(
    join(folder, 'sw-description'),
    `software = { version = "${version}"; hardware-compatibility: [ "${hardware}" ]; files: ( ${parts.map(({ text }) => text).join(', ')} ); }\n`,
  );
  execFileSync(
    'openssl',
    [
      ...['cms', '-sign', '-in', 'sw-description', '-out', 'sw-description.sig', '-signer', signer.certificate, '-inkey', signer.key],
      ...['-outform', 'DER', '-nosmimecap', '-binary'],
    ],
    { cwd: folder, stdio: 'ignore' },
  );
  const names = ['sw-description', 'sw-description.sig', ...parts.map(({ filename }) => filename)];
  return execFileSync('cpio', ['-o', '-H', 'crc', '--quiet'], { cwd: folder, input: names.join('\n'), maxBuffer: 2 ** 28 });
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
    const identify = Object.entries(attributes).map(([name, value]) => `{ name = "${name}"; value = "${value}"; }`);
    const configuration = join(folder, 'swupdate.cfg');
    writeFileSync(configuration, `globals: {};\nidentify: ( ${identify.join(', ')} );\n`);
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
