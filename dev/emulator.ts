// `npm run emulator`: serverless.yml deployed to MiniStack, beside it a simulated backend and fleet, until Ctrl-C.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startDeployedStack } from './deployed-stack.ts';
import { startMinistack } from './emulators/emulator.ts';
import { writePrivateFile } from './private-file.ts';

const FILE = fileURLToPath(new URL('../.local/emulator.env', import.meta.url));
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
  const variables = {
    ...{ ...stack.settings, AWS_DEFAULT_REGION: stack.region, API: stack.api_url, TOKEN: stack.token },
    ...{ SIMULATOR: stack.simulator_url, SIMULATOR_TOKEN: stack.simulator_token },
  };
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'`);
  // Version 1 of the AWS CLI has an address of its own for SQS, whatever the environment says.
  writePrivateFile(FILE, [...lines, `aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }`, ''].join('\n'));
  undo.push(() => rm(FILE, { force: true }));
  console.log(`
Deployed in ${stack.deploy_seconds.toFixed(1)} s as stage local. To work with it, in another terminal:

. .local/emulator.env
curl -s "$API/v1/hardware-types" -H "authorization: Bearer $TOKEN"
curl -s -X PATCH "$SIMULATOR/simulator/behaviour" -H "authorization: Bearer $SIMULATOR_TOKEN" -d '{"outage": "503"}'   # the backend is down; "off": up
npm run deploy -- --stage local                                                                                        # again

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
