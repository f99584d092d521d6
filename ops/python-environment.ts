// A separate Python virtual environment for an emulator, with any Python of the machine that is new enough.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { takeLock } from './process-lock.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

/**
 * The folder of the environment's programs. It is made once, in `.local/emulators/`, and again when its requirements change.
 *
 * @throws an error that says which Python is needed, or what pip said.
 */
export async function pythonEnvironment(options: {
  name: string;
  /** For pip; `-r` files and folders. */
  install: string[];
  /** Files on which the environment depends: when one changes, it is made anew. */
  madeOf: string[];
  minimumMinor: number;
  onStep?: (text: string) => void;
}): Promise<string> {
  const { name, install, madeOf, minimumMinor, onStep = () => {} } = options;
  const hash = createHash('sha256');
  for (const file of madeOf) hash.update(readFileSync(file));
  const directory = join(ROOT, '.local', 'emulators', `${name}-${hash.digest('hex').slice(0, 12)}`);
  const marker = join(directory, '.installed');
  const bin = join(directory, 'bin');
  if (existsSync(marker)) return bin;

  await mkdir(dirname(directory), { recursive: true });
  const lock = await waitForLock(`${directory}.lock`);
  try {
    if (existsSync(marker)) return bin;
    onStep(`Installing ${name} (once) …`);
    await rm(directory, { recursive: true, force: true });
    createEnvironment(directory, minimumMinor);
    run(join(bin, 'python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input', ...install]);
    await writeFile(`${marker}.new`, '');
    await rename(`${marker}.new`, marker);
    return bin;
  } finally {
    lock.release();
  }
}

/** Tries several Pythons, because Debian's own may lack the venv module. */
function createEnvironment(directory: string, minimumMinor: number): void {
  const failures: string[] = [];
  for (const python of pythons(minimumMinor)) {
    const { status, stdout, stderr } = spawnSync(python, ['-m', 'venv', directory], { encoding: 'utf8' });
    if (status === 0) return;
    failures.push(`${python}: ${stderr || stdout}`);
  }
  const wanted = `Python 3.${minimumMinor} or newer with its venv module is needed (apt-get install python3-venv, pyenv install 3.13)`;
  throw new Error([wanted, ...failures].join('\n'));
}

function pythons(minimumMinor: number): string[] {
  const installed = globSync(join(homedir(), '.pyenv/versions/3.*/bin/python3'));
  const candidates = ['python3', ...installed, ...[15, 14, 13, 12, 11, 10].map((minor) => `python3.${minor}`), '/usr/bin/python3'];
  return candidates.filter((python) => {
    const { status, stdout } = spawnSync(python, ['-c', 'import sys; print(*sys.version_info[:2])'], { encoding: 'utf8' });
    const [major, minor] = status === 0 ? stdout.split(' ').map(Number) : [];
    return major === 3 && (minor ?? 0) >= minimumMinor;
  });
}

function run(program: string, args: string[]): void {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', cwd: ROOT });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${error?.message ?? `${stdout}${stderr}`}`);
}

async function waitForLock(file: string): Promise<{ release(): void }> {
  const deadline = Date.now() + 300_000;
  for (;;) {
    try {
      return takeLock(file);
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}
