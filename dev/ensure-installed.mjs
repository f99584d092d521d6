// Runs before `npm start` and `npm test`: installs the dependencies when they are missing or older than the lock file.
// Plain JavaScript without imports from node_modules, because nothing is installed yet and the machine's own Node runs it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const marker = join(root, 'node_modules', '.installed-from');
const lock = join(root, '.local', 'install.lock');
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .update(process.platform + process.arch)
  .digest('hex');

const isInstalled = () => {
  try {
    return readFileSync(marker, 'utf8') === wanted;
  } catch {
    return false;
  }
};

const sleep = (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
};

/** `npm start` and `npm test` may begin at the same moment in a clean clone: one installs, the other waits for it. */
const takeLock = () => {
  mkdirSync(dirname(lock), { recursive: true });
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    try {
      const holder = Number(readFileSync(lock, 'utf8'));
      const isAbandoned = holder ? !isAlive(holder) : Date.now() - statSync(lock).mtimeMs > 5_000;
      if (isAbandoned) rmSync(lock, { force: true });
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
    sleep(200);
  }
};

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`Node 20 or newer is needed to install the dependencies; this is ${process.version}.`);
  process.exit(1);
}
if (!isInstalled()) {
  takeLock();
  try {
    if (!isInstalled()) {
      console.log('Installing dependencies (once, and again when package-lock.json changes) …');
      const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
        cwd: root,
        stdio: 'inherit',
        shell: process.platform === 'win32',
      });
      if (error || status !== 0) {
        console.error(`npm ci failed${error ? `: ${error.message}` : ` with exit code ${status}`}. Is the npm registry reachable?`);
        process.exitCode = 1;
      } else {
        writeFileSync(marker, wanted);
      }
    }
  } finally {
    rmSync(lock, { force: true });
  }
}
