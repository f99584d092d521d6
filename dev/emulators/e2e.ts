// `npm run e2e:ministack`, `npm run e2e:localstack`: an emulator of AWS on this machine, the contracts of S3 and SQS and then the end-to-end suite against it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startLocalstack, startMinistack } from './emulator.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const [name = '', ...args] = process.argv.slice(2);
const start = { ministack: startMinistack, localstack: startLocalstack }[name];
if (!start) {
  console.error('node dev/emulators/e2e.ts ministack|localstack [arguments of vitest]');
  process.exit(2);
}

const directory = await mkdtemp(join(tmpdir(), 'scooters-emulator-'));
let exitCode = 1;
try {
  const startedAt = performance.now();
  const emulator = await start({ directory, onStep: (text) => console.log(text) });
  console.log(`${emulator.name} answers at ${emulator.endpoint} after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const contracts = ['storage.contract', 'object-writer.contract', 'queue.contract', 'upload-to-download'].map(
    (file) => `test/contract/${file}.test.ts`,
  );
  const suites = ['service', 'emulated-aws'].map((file) => `test/e2e/${file}.test.ts`);
  const files = ['run', '--project', 'database', '--project', 'e2e', ...contracts, ...suites, ...args];
  const child = spawn(process.execPath, [vitest, ...files], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, E2E_ENDPOINT: emulator.endpoint },
  });
  const end = () => child.kill('SIGTERM');
  process.once('SIGINT', end).once('SIGTERM', end);
  const [code] = await once(child, 'exit');
  exitCode = code ?? 1;
  await emulator.stop();
  if (exitCode !== 0) {
    const kept = join(ROOT, '.local', 'emulators');
    await mkdir(kept, { recursive: true });
    await rm(join(kept, `${name}.log`), { force: true });
    await (await import('node:fs/promises')).copyFile(emulator.log_file, join(kept, `${name}.log`));
    console.error(`The emulator's log is .local/emulators/${name}.log`);
  }
} catch (error) {
  console.error((error as Error).message);
} finally {
  await rm(directory, { recursive: true, force: true });
}
process.exit(exitCode);
