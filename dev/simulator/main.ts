import { parseArgs } from 'node:util';
import { z } from 'zod';
import { numberOf } from '../number-option.ts';
import { type SimulatorOptions, startSimulator } from './server.ts';

const help = `npm run simulator -- [options]

Runs a simulated scooters-backend (lib/ports/scooters-backend.openapi.yaml) with a simulated fleet.

  --host HOST                   where to listen                                  (127.0.0.1)
  --port PORT                   0 is any free port                               (0)
  --token TOKEN                 bearer token every call must carry; or SIMULATOR_TOKEN   (made up and printed)
  --scooters N                  S-00001 ..., alternately version 1 and 2         (1000)
  --cabinets N                  C-0001 ...                                       (20)
  --seed N                      same seed, ids and rates: same decisions         (1)
  --journal FILE                survive a kill -9: keep what was accepted, installed and reported
  --updater-url URL             where to report, without /v1/confirmations
  --updater-token TOKEN         bearer token for it; or UPDATER_TOKEN

Behaviour; can be changed while it runs, PATCH /simulator/behaviour {"failure_rate": 0.1}; rates are 0 to 1:

  --install-seconds N           median installation time, log-normal, at most 4 times this   (6)
  --failure-rate R              reports FAILED, keeps its version                (0)
  --deferral-rate R             answers "deferred": in a ride, battery low ...   (0)
  --deferral-min-seconds N      shortest and                                     (5)
  --deferral-max-seconds N      longest time to wait after a deferral            (15)
  --silent-rate R               accepted, never reported; half of them install   (0)
  --lie-rate R                  reports SUCCEEDED and names its old version      (0)
  --rejection-rate R            answers "rejected"                               (0)
  --slow-ms N                   delays every answer                              (0)
  --outage off|503|429|500|hang answers this way to every /v1 call               (off)
  --report-progress             devices report IN_PROGRESS when a download starts

  --quiet                       no line per call
  --help                        this text

Also: GET /simulator/behaviour, /simulator/commands, /simulator/progress, /simulator/devices/{kind}/{external_id}
`;

const text = ['host', 'token', 'journal', 'updater-url', 'updater-token', 'outage'] as const;
const numbers = [
  'port',
  'scooters',
  'cabinets',
  'seed',
  'install-seconds',
  'slow-ms',
  'deferral-min-seconds',
  'deferral-max-seconds',
] as const;
const rates = ['failure-rate', 'deferral-rate', 'silent-rate', 'lie-rate', 'rejection-rate'] as const;
const flags = ['report-progress', 'quiet', 'help'] as const;

const toOption = (name: string) => name.replaceAll('-', '_');

/** The options as `startSimulator` takes them. Throws for an unknown option, or a text that should be a number and is not. */
function parseOptions(args: string[], env: NodeJS.ProcessEnv): SimulatorOptions & { quiet?: boolean; help?: boolean } {
  const string = [...text, ...numbers, ...rates].map((name) => [name, { type: 'string' as const }] as const);
  const boolean = flags.map((name) => [name, { type: 'boolean' as const }] as const);
  const { values } = parseArgs({ args, options: Object.fromEntries([...string, ...boolean]) });
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    const isNumber = ([...numbers, ...rates] as string[]).includes(name);
    const number = isNumber ? numberOf(String(value)) : undefined;
    if (isNumber && number === undefined) throw new Error(`--${name} must be a number in digits, not "${value}"`);
    options[toOption(name)] = isNumber ? number : value;
  }
  if (env['SIMULATOR_TOKEN']) options['token'] ??= env['SIMULATOR_TOKEN'];
  if (env['UPDATER_TOKEN'] && 'updater_url' in options) options['updater_token'] ??= env['UPDATER_TOKEN'];
  return options;
}

const explain = (error: unknown) =>
  error instanceof z.ZodError
    ? error.issues.map(({ path, message }) => `${path.length > 0 ? `--${path.join('.').replaceAll('_', '-')}: ` : ''}${message}`).join('\n')
    : (error as Error).message;

async function main(): Promise<void> {
  const { help: wantsHelp, quiet, ...options } = parseOptions(process.argv.slice(2), process.env);
  if (wantsHelp) {
    process.stdout.write(help);
    return;
  }
  if ((options.updater_url === undefined) !== (options.updater_token === undefined))
    throw new Error('--updater-url and --updater-token go together');
  const log = (fields: Record<string, unknown>) => {
    if (!quiet || fields['msg'] !== 'call') console.error(JSON.stringify({ dt: new Date().toISOString(), ...fields }));
  };
  const simulator = await startSimulator({ ...options, log });
  console.log(`scooters-backend simulator: ${simulator.url}`);
  if (options.token === undefined) console.log(`token: ${simulator.token}`);
  console.log('Ctrl-C stops it.');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void simulator.close());
}

await main().catch((error: unknown) => {
  console.error(`${explain(error)}\nTry --help.`);
  process.exitCode = 2;
});
