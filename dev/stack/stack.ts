// The whole service on one machine: what `npm start` and the end-to-end test run.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stop as stopBundler } from 'esbuild';
import { createClient, registerAll } from '../../clients/api/src/index.ts';
import { migrateToLatest } from '../../lib/db/migrate.ts';
import type { PollIntervals } from '../../lib/ddi/poll-interval.ts';
import { build } from '../../ops/build.ts';
import { writePrivateFile } from '../../ops/private-file.ts';
import { keepSigningKeys, publicKeysOf } from '../../ops/signing-keys.ts';
import { readStackDefinition, type StackDefinition } from '../../ops/stack-definition.ts';
import { type IotFleetDevice, type IotFleetOptions, listIotDevices, startIotFleet } from '../simulator/iot-fleet.ts';
import { type SimulatorOptions, startSimulator } from '../simulator/server.ts';
import { startLocalIdentity } from './local-identity.ts';
import { causeOf, watchParts } from './part-ended.ts';
import { startPostgres } from './postgres.ts';
import { startServerlessOffline } from './serverless-offline.ts';
import { expectAnswer, REGION, startEmbeddedAws, useEmulator } from './stack-aws.ts';
import { settingsOfFunctions, startConsumers } from './stack-functions.ts';
import { type StackSettings, settleStackSettings } from './stack-settings.ts';
import { createUndo, type Undo } from './undo.ts';

const STAGE = 'offline';
/** Devices poll more often here than in production: nobody wants to watch for five minutes. */
const POLL_SECONDS: PollIntervals = { idleSeconds: 4, waitingSeconds: 1 };

/** The content of `stack.json`, by which other tools and tests find a running stack. */
export interface StackDescription {
  api_url: string;
  /** The server address for a device that polls (SWUpdate's `-u`). Its token comes from POST /v1/devices/{kind}/{external_id}/token. */
  ddi_url: string;
  token: string;
  /** Who gives tokens: `scu login --issuer`. */
  issuer: string;
  database_url: string;
  simulator_url: string;
  simulator_token: string;
  s3: { endpoint: string; bucket: string };
  sqs: { endpoint: string; queue_urls: Record<string, string> };
  region: string;
  access_key_id: string;
  secret_access_key: string;
  pid: number;
}

export interface StackOptions {
  /** Where the data stays. Without it everything lives in a temporary folder that is gone after `stop`. */
  directory?: string;
  /** Written when the stack is ready, removed first when it stops. */
  stackFile?: string;
  apiPort?: number | undefined;
  /** Base address of an emulator of AWS whose S3 and SQS are used instead of the embedded ones. Both keep what they hold when we stop. */
  aws?: string | undefined;
  simulator?: Omit<SimulatorOptions, 'port' | 'host' | 'token' | 'journal' | 'updater_url' | 'updater_token'>;
  /** Devices that poll. They are registered when the stack starts. */
  iotFleet?: Omit<IotFleetOptions, 'file' | 'url' | 'tenant' | 'manifestKeys' | 'issueToken'>;
  pollIntervals?: PollIntervals;
  /** Whether the functions have just been built. Otherwise the stack builds them. */
  isBuilt?: boolean;
  /** An update of more devices waits until somebody else approves it. Without it: as APPROVAL_ABOVE says, or none does. */
  approvalAbove?: number;
  /** Ends a start that is under way. */
  signal?: AbortSignal;
  onStep?: (text: string) => void;
  /** Called when the API and the console answer; devices start afterwards. */
  onApi?: (api_url: string) => void;
  /** Work that failed and will be tried again: a queue's message, say. */
  onError?: (where: string, error: unknown) => void;
}

export interface Stack extends StackDescription {
  /** A token for somebody else, or with fewer scopes. */
  tokenFor(options: { subject: string; scopes?: readonly string[]; expiresIn?: string }): Promise<string>;
  /** The devices that poll. */
  iot_devices: IotFleetDevice[];
  /** Messages in a queue, by its logical id. */
  queueDepth(queue: string): Promise<number>;
  /** Where the functions log. */
  log_file: string;
  /** Settles when a part of the stack ends by itself. */
  died: Promise<Error>;
  /** Stops everything in order; safe to call twice. */
  stop(): Promise<void>;
}

/** What the parts of a stack share while they start. */
interface Start {
  options: StackOptions;
  definition: StackDefinition;
  settings: StackSettings;
  /** The folder of this run. */
  directory: string;
  /** A file or folder that is there again at the next start; undefined if nothing is to stay. */
  kept(name: string): string | undefined;
  undo: Undo;
  signal: AbortSignal;
  /** When this part ends by itself, the start or the stack has ended. */
  watch(died: Promise<Error>): void;
  /** Tells what comes next; throws when the start has been ended. */
  step(text: string): void;
}

/** Either the whole stack is up, or the promise rejects and nothing of it is left. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const undo = createUndo();
  const parts = watchParts();
  // A part that ends while others start ends the start.
  const signal = AbortSignal.any([parts.signal, ...(options.signal ? [options.signal] : [])]);
  const step = (text: string) => {
    signal.throwIfAborted();
    options.onStep?.(text);
  };
  try {
    if (options.aws !== undefined) await expectAnswer(options.aws);
    const directory = await makeDirectory(options.directory, undo);
    const kept = (name: string) => (options.directory === undefined ? undefined : join(directory, name));
    const settings = await settleStackSettings(join(directory, 'settings.json'), options.apiPort);
    const definition = readStackDefinition({ stage: STAGE });
    const stack = await startParts({ options, definition, settings, directory, kept, undo, signal, watch: parts.watch, step });
    signal.throwIfAborted();
    return { ...stack, died: parts.ended, stop: undo.run };
  } catch (error) {
    const cause = signal.aborted ? error : await causeOf(error, parts.ended);
    await undo.run();
    throw cause;
  }
}

/** Without a directory a temporary one, which is gone afterwards. */
async function makeDirectory(wanted: string | undefined, undo: Undo): Promise<string> {
  if (wanted !== undefined) {
    await mkdir(wanted, { recursive: true });
    return wanted;
  }
  const directory = await mkdtemp(join(tmpdir(), 'scooters-stack-'));
  undo.push(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Starts one part after the other; the functions are bundled meanwhile. */
async function startParts(start: Start): Promise<Omit<Stack, 'died' | 'stop'>> {
  const building = buildFunctions(start);
  building.catch(() => {}); // thrown where it is awaited
  const database_url = await startDatabase(start);
  const neighbours = await startNeighbours(start);
  await building;
  const functions = await startFunctions(start, database_url, neighbours);
  const iot_devices = await startDevicesThatPoll(start, functions.api_url, neighbours);

  const { identity, aws, simulator } = neighbours;
  const description: StackDescription = {
    api_url: functions.api_url,
    ddi_url: functions.api_url,
    token: await identity.token({ subject: 'local-engineer', expiresIn: '7d' }),
    issuer: identity.issuer,
    database_url,
    simulator_url: simulator.url,
    simulator_token: simulator.token,
    s3: { endpoint: aws.endpoints.s3, bucket: aws.bucket },
    sqs: { endpoint: aws.endpoints.sqs, queue_urls: aws.queues.urls },
    region: REGION,
    access_key_id: aws.credentials.accessKeyId,
    secret_access_key: aws.credentials.secretAccessKey,
    pid: process.pid,
  };
  publish(description, start);
  const queueDepth = async (queue: string) => aws.queues.depth(queue);
  return { ...description, tokenFor: identity.token, iot_devices, queueDepth, log_file: functions.log_file };
}

async function buildFunctions({ options, step }: Start): Promise<void> {
  if (options.isBuilt) return;
  step('Building the functions');
  await build();
  await stopBundler(); // its own process would wait for work as long as we run
}

/** PostgreSQL with a migrated database. Answers its URL. */
async function startDatabase({ settings, kept, undo, watch, step }: Start): Promise<string> {
  step('Starting PostgreSQL');
  const directory = kept('postgres');
  const postgres = await startPostgres({ ...(directory !== undefined && { directory }), port: settings.ports.postgres });
  undo.push(postgres.stop);
  watch(postgres.died);
  const url = await postgres.createDatabase('scooters_updater');
  step('Migrating the database');
  await migrateToLatest(url);
  return url;
}

type Neighbours = Awaited<ReturnType<typeof startNeighbours>>;

/** Whom the functions talk to: the issuer of tokens, S3 and SQS, and the simulated backend with its fleet. */
async function startNeighbours({ options, definition, settings, directory, kept, undo, step }: Start) {
  step('Starting S3, SQS and the simulated fleet');
  const { ports } = settings;
  const file = kept('identity.json');
  const identity = await startLocalIdentity({ ...(file !== undefined && { file }), port: ports.identity });
  undo.push(identity.close);
  const resources = { definition, bucket: `${definition.service}-${STAGE}-firmwares`, undo };
  const aws =
    options.aws === undefined
      ? await startEmbeddedAws({ ...resources, settings, directory, queueDirectory: kept('sqs') })
      : await useEmulator({ ...resources, endpoint: options.aws });
  const signing = keepSigningKeys(kept('signing-keys.json'));
  const simulator = await startSimulator({
    ...options.simulator,
    manifest_keys: publicKeysOf(signing),
    port: ports.simulator,
    journal: kept('simulator/journal.jsonl'),
  });
  undo.push(simulator.close);
  return { identity, aws, signing, simulator };
}

/** The functions behind the API and behind their queues. The simulated backend reports to them from then on. */
async function startFunctions(start: Start, database_url: string, { identity, aws, signing, simulator }: Neighbours) {
  const { options, definition, settings, directory, undo, signal, watch, step } = start;
  const { onError = () => {}, approvalAbove, pollIntervals = POLL_SECONDS } = options;
  step('Starting the API (serverless offline)');
  const log_file = join(directory, 'functions.log');
  const offline = await startServerlessOffline({
    httpPort: settings.ports.api,
    lambdaPort: settings.ports.lambda,
    logFile: log_file,
    signal,
    env: settingsOfFunctions({ database_url, identity, backend: simulator, aws, signing, pollIntervals, approvalAbove }),
  });
  undo.push(offline.stop);
  watch(offline.died);
  options.onApi?.(offline.api_url);
  const prefix = `${definition.service}-${STAGE}-`;
  undo.push(startConsumers({ definition, aws, lambda_url: offline.lambda_url, prefix, onError, undo }).stop);
  simulator.reportTo(offline.api_url, () => identity.token({ subject: 'scooters-backend', scopes: ['devices:report'], expiresIn: '10m' }));
  return { api_url: offline.api_url, log_file };
}

/** Registers the simulated devices that poll, and starts them. */
async function startDevicesThatPoll(start: Start, api_url: string, { identity, signing }: Neighbours): Promise<IotFleetDevice[]> {
  const { options, kept, undo, signal, step } = start;
  const devices = options.iotFleet ? listIotDevices(options.iotFleet) : [];
  if (!options.iotFleet || devices.length === 0) return devices;
  step('Starting the devices that poll');
  const token = await identity.token({ subject: 'local-engineer', scopes: ['devices:write'], expiresIn: '10m' });
  const api = createClient({ url: api_url, token, signal });
  await registerAll(api, devices);
  const fleet = await startIotFleet({
    ...options.iotFleet,
    url: api_url,
    tenant: 'default',
    manifestKeys: publicKeysOf(signing),
    file: kept('simulator/iot-fleet.json'),
    issueToken: async ({ kind, external_id }) => (await api.issueDeviceToken(kind, external_id)).token,
  });
  undo.push(fleet.close);
  return devices;
}

/** Writes the file by which other tools find this stack, as long as it runs. */
function publish(description: StackDescription, { options: { stackFile }, undo }: Start): void {
  if (stackFile === undefined) return;
  writePrivateFile(stackFile, `${JSON.stringify(description, null, 2)}\n`);
  undo.push(() => rm(stackFile, { force: true }));
}
