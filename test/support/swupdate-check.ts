import { spawn } from 'node:child_process';
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from 'vitest';
import { findWhySwupdateIsMissing } from './swupdate.ts';

/**
 * Whether Debian's swupdate (2022.12) and cpio are here, after having tried to install them. Without them the tests that need them are
 * skipped, and say so.
 */
export const hasSwupdate = ((): boolean => {
  const why = findWhySwupdateIsMissing();
  if (why !== undefined) console.warn(`NOT TESTED with the real SWUpdate: ${why}`);
  return why === undefined;
})();

/** `nobody`: a package must not be able to touch the machine, whatever is in it. */
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;
const give = async (path: string): Promise<void> => {
  if (isRoot) await chown(path, nobody, nobody);
};

export interface SwupdateResult {
  /** What it says itself: its exit code is 1 in one of five runs that it calls successful, a race at its end. */
  isTaken: boolean;
  isRefused: boolean;
  output: string;
}

/**
 * All that it says until it has decided. It does not always end by itself then: about one run in forty waits for its own children for ever.
 */
const listen = (args: string[], directory: string): Promise<string> =>
  new Promise((resolve) => {
    const child = spawn('swupdate', args, {
      cwd: directory,
      env: { ...process.env, TMPDIR: directory },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...(isRoot && { uid: nobody, gid: nobody }),
    });
    let output = '';
    const end = () => {
      try {
        if (child.pid) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    };
    const deadline = setTimeout(end, 20_000);
    const hear = (text: Buffer) => {
      output += text;
      if (/SWUPDATE (successful !|failed)/.test(output)) setTimeout(end, 20);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('close', () => {
      clearTimeout(deadline);
      end();
      resolve(output);
    });
  });

/** Runs the real program in a folder of its own, without a boot loader; gone when the file has ended. */
export const createSwupdate = async (certificate: string) => {
  const directory = await mkdtemp(join(tmpdir(), 'swupdate-'));
  await give(directory);
  afterAll(() => rm(directory, { recursive: true, force: true }));
  let runs = 0;

  const run = async (bytes: Uint8Array, options: string[]): Promise<SwupdateResult> => {
    runs += 1;
    // Its sockets and what it unpacks are there, so that several can run at once.
    const own = join(directory, String(runs));
    await mkdir(own);
    await give(own);
    const [image, key] = [join(own, 'package.swu'), join(own, 'certificate.pem')];
    await Promise.all([writeFile(image, bytes), writeFile(key, certificate)]);
    const args = ['-B', 'none', '-M', '-m', '-H', 'board:1.0', '-k', key, ...options, '-i', image];
    // All on a machine share one address by which they notify each other: only one runs at a time.
    let output: string;
    do output = await listen(args, own);
    while (/Address already in use/.test(output) && (await sleep(50, true)));
    await rm(own, { recursive: true, force: true });
    const isRefused = output.includes('SWUPDATE failed');
    return { isTaken: output.includes('SWUPDATE successful !') && !isRefused, isRefused, output };
  };

  return {
    directory,
    /** Signature and hashes, without installing. */
    check: (bytes: Uint8Array) => run(bytes, ['-c']),
    install: (bytes: Uint8Array) => run(bytes, []),
  };
};
