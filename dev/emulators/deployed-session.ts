// A deployed stack for the person at the keyboard: its start, what it prints, and its end at Ctrl-C.
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { writePrivateFile } from '../../ops/private-file.ts';
import { createUndo, type Undo } from '../stack/undo.ts';
import { type DeployedStackOptions, startDeployedStack } from './deployed-stack.ts';

/** Small enough to be looked through, and to be updated within a minute. */
const FLEET = { scooters: 100, cabinets: 5 };

/**
 * Ends the process: with 0 after Ctrl-C, with 1 and a message when something does not work. What `prepare` starts, it pushes to `undo`.
 *
 * @param envFile for `.` of a shell: what the commands of docs/operations.md need. It is there as long as the stack is.
 */
export async function runDeployedStack(options: {
  envFile: string;
  prepare: (tools: { undo: Undo; onStep: (text: string) => void }) => Promise<Omit<DeployedStackOptions, 'simulator' | 'onStep'>>;
  /** Printed after Ctrl-C: what still runs, and how to end it. */
  afterwards?: string;
}): Promise<never> {
  const { envFile, prepare, afterwards = '' } = options;
  const onStep = (text: string) => console.log(`${text} …`);
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
  const undo = createUndo();
  try {
    const stack = await startDeployedStack({ ...(await prepare({ undo, onStep })), simulator: FLEET, onStep });
    undo.push(stack.stop);
    const variables = {
      ...{ ...stack.settings, AWS_DEFAULT_REGION: stack.region, API: stack.api_url, TOKEN: stack.token },
      ...{ SIMULATOR: stack.simulator_url, SIMULATOR_TOKEN: stack.simulator_token, SCU_URL: stack.api_url, SCU_TOKEN: stack.token },
    };
    const lines = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'`);
    mkdirSync(dirname(envFile), { recursive: true });
    // Version 1 of the AWS CLI ignores the environment's address for SQS.
    writePrivateFile(envFile, [...lines, `aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }`, ''].join('\n'));
    undo.push(() => rm(envFile, { force: true }));
    console.log(`
Deployed in ${stack.deploy_seconds.toFixed(1)} s as stage local. ${stack.applied.length > 0 ? `${stack.applied.length} migrations were applied` : 'There was nothing to migrate'}.

Console: ${stack.api_url}/console
API:    ${stack.api_url}   (read it at ${stack.api_url}/docs)
DDI:    ${stack.ddi_url}   (what a device that polls is given for its server)

In another terminal, in this folder (npx scu --help shows all):
  . ${relative(process.cwd(), envFile)}            # the service and a token for scu, and all else that the commands of docs/operations.md need
  npx scu observe --add-unknown       # imports the simulated fleet
  npx scu stats

The last chapter of docs/operations.md goes from here to a firmware and an update.

It stays up until Ctrl-C.${afterwards && ` ${afterwards}`}`);
    await stopped;
    console.log('Stopping …');
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  } finally {
    await undo.run();
  }
  process.exit();
}
