// `npm run emulator`: serverless.yml deployed to MiniStack, beside it a simulated backend and fleet, until Ctrl-C.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDeployedStack } from './deployed-stack.ts';
import { startMinistack } from './emulators/emulator.ts';

const onStep = (text: string) => console.log(`${text} …`);
const stopped = new Promise<void>((resolve) => {
  process.once('SIGINT', () => resolve()).once('SIGTERM', () => resolve());
});
const directory = await mkdtemp(join(tmpdir(), 'scooters-emulator-'));
const undo: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
try {
  const emulator = await startMinistack({ directory, onStep });
  undo.push(emulator.stop);
  const stack = await startDeployedStack({ endpoint: emulator.endpoint, simulator: { scooters: 100, cabinets: 5 }, onStep });
  undo.push(stack.stop);
  console.log(`
Deployed in ${stack.deploy_seconds.toFixed(1)} s. To work with it, in another terminal:

export AWS_ENDPOINT_URL=${emulator.endpoint} AWS_REGION=${stack.region} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
export API=${stack.api_url}
export TOKEN=${stack.token}
export SIMULATOR=${stack.simulator_url} SIMULATOR_TOKEN=${stack.simulator_token}

The backend goes down and up again by:
curl -X PATCH "$SIMULATOR/simulator/behaviour" -H "authorization: Bearer $SIMULATOR_TOKEN" -d '{"outage": "503"}'    # or "off"

It stays up until Ctrl-C.`);
  await stopped;
  console.log('Stopping …');
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
}
process.exit();
