// `npm run emulator`: an emulator of AWS on this machine, serverless.yml deployed to it, beside it a simulated backend and fleet, until Ctrl-C.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runDeployedStack } from './deployed-session.ts';
import { startLocalstack, startMinistack } from './emulator.ts';

const [name = 'ministack', ...others] = process.argv.slice(2);
const start = { ministack: startMinistack, localstack: startLocalstack }[name];
if (!start || others.length > 0) {
  console.error('npm run emulator [-- ministack|localstack]');
  process.exit(2);
}
await runDeployedStack({
  envFile: fileURLToPath(new URL('../../.local/emulator.env', import.meta.url)),
  async prepare({ undo, onStep }) {
    const directory = await mkdtemp(join(tmpdir(), 'scooters-emulator-'));
    undo.push(() => rm(directory, { recursive: true, force: true }));
    const emulator = await start({ directory, onStep });
    undo.push(emulator.stop);
    return { endpoint: emulator.endpoint };
  },
  afterwards: 'Nothing is kept.',
});
