// The whole service on one machine: what `npm start` and the end-to-end test run.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { S3Client } from '@aws-sdk/client-s3';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { stop as stopBundler } from 'esbuild';
import { createClient, registerAll } from '../../clients/api/src/index.ts';
import { migrateToLatest } from '../../lib/db/migrate.ts';
import type { PollIntervals } from '../../lib/ddi/poll-interval.ts';
import { build } from '../../ops/build.ts';
import { writePrivateFile } from '../../ops/private-file.ts';
import { keepSigningKeys, publicKeysOf } from '../../ops/signing-keys.ts';
import { type BucketNotification, readStackDefinition, type StackDefinition } from '../../ops/stack-definition.ts';
import { createBucket, createQueues } from '../local-aws/aws-resources.ts';
import { invokeThroughLambda, startEventSourceMappings } from '../local-aws/event-source-mappings.ts';
import { startQueues } from '../local-aws/queues.ts';
import { startS3Server } from '../local-aws/s3-server.ts';
import { type IotFleetDevice, type IotFleetOptions, listIotDevices, startIotFleet } from '../simulator/iot-fleet.ts';
import { type SimulatorOptions, startSimulator } from '../simulator/server.ts';
import { startLocalIdentity } from './local-identity.ts';
import { causeOf, watchParts } from './part-ended.ts';
import { startPostgres } from './postgres.ts';
import { startServerlessOffline } from './serverless-offline.ts';
import { type Ports, settleStackSettings } from './stack-settings.ts';
import { createUndo, type Undo } from './undo.ts';

const STAGE = 'offline';
const REGION = 'eu-central-1';
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

/** Either the whole stack is up, or the promise rejects and nothing of it is left. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { onStep = () => {}, onError = () => {}, pollIntervals = POLL_SECONDS } = options;
  const undo = createUndo();
  const parts = watchParts();
  // A part that ends while others start ends the start.
  const signal = AbortSignal.any([parts.signal, ...(options.signal ? [options.signal] : [])]);
  const step = (text: string) => {
    signal.throwIfAborted();
    onStep(text);
  };

  try {
    if (options.aws !== undefined) await expectAnswer(options.aws);
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'scooters-stack-')));
    if (options.directory === undefined) undo.push(() => rm(directory, { recursive: true, force: true }));
    await mkdir(directory, { recursive: true });
    const { access_key_id, secret_access_key, ports } = await settleStackSettings(join(directory, 'settings.json'), options.apiPort);
    const kept = options.directory === undefined ? undefined : directory;
    const definition = readStackDefinition({ stage: STAGE });

    step('Building the functions');
    const building = build();
    building.catch(() => {}); // thrown where it is awaited

    step('Starting PostgreSQL');
    const postgres = await startPostgres({ ...(kept !== undefined && { directory: join(kept, 'postgres') }), port: ports.postgres });
    undo.push(postgres.stop);
    parts.watch(postgres.died);
    const database_url = await postgres.createDatabase('scooters_updater');
    step('Migrating the database');
    await migrateToLatest(database_url);

    step('Starting S3, SQS and the simulated fleet');
    const identity = await startLocalIdentity({ ...(kept !== undefined && { file: join(kept, 'identity.json') }), port: ports.identity });
    undo.push(identity.close);
    const place = { definition, bucket: `${definition.service}-${STAGE}-firmwares`, undo };
    const embedded = { ...place, credentials: { accessKeyId: access_key_id, secretAccessKey: secret_access_key }, ports };
    const { sqs, queues, credentials, endpoints } =
      options.aws === undefined
        ? await startEmbeddedAws({ ...embedded, directory, queueDirectory: kept === undefined ? undefined : join(kept, 'sqs') })
        : await useEmulator({ ...place, endpoint: options.aws });
    const { bucket } = place;
    const signing = keepSigningKeys(kept === undefined ? undefined : join(kept, 'signing-keys.json'));
    const simulator = await startSimulator({
      ...options.simulator,
      manifest_keys: publicKeysOf(signing),
      port: ports.simulator,
      ...(kept !== undefined && { journal: join(kept, 'simulator', 'journal.jsonl') }),
    });
    undo.push(simulator.close);

    await building;
    await stopBundler(); // its own process would wait for work as long as we run
    step('Starting the API (serverless offline)');
    const log_file = join(directory, 'functions.log');
    const offline = await startServerlessOffline({
      httpPort: ports.api,
      lambdaPort: ports.lambda,
      logFile: log_file,
      signal,
      env: {
        DATABASE_URL: database_url,
        JWT_ISSUER: identity.issuer,
        JWT_AUDIENCE: identity.audience,
        JWKS_URL: identity.jwks_url,
        BACKEND_URL: simulator.url,
        BACKEND_TOKEN: simulator.token,
        FIRMWARE_BUCKET: bucket,
        ADVANCES_QUEUE_URL: queues.urls['AdvancesQueue'] ?? '',
        VERIFICATIONS_QUEUE_URL: queues.urls['VerificationsQueue'] ?? '',
        DISPATCHES_QUEUE_URL: queues.urls['DispatchesQueue'] ?? '',
        OBSERVATIONS_QUEUE_URL: queues.urls['ObservationsQueue'] ?? '',
        DDI_POLL_SECONDS: String(pollIntervals.idleSeconds),
        DDI_WAITING_POLL_SECONDS: String(pollIntervals.waitingSeconds),
        ...(options.approvalAbove !== undefined && { APPROVAL_ABOVE: String(options.approvalAbove) }),
        ASSEMBLIES_QUEUE_URL: queues.urls['AssembliesQueue'] ?? '',
        REGISTRATIONS_QUEUE_URL: queues.urls['RegistrationsQueue'] ?? '',
        ...signing,
        AWS_ENDPOINT_URL_S3: endpoints.s3,
        AWS_ENDPOINT_URL_SQS: endpoints.sqs,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_REGION: REGION,
      },
    });
    undo.push(offline.stop);
    parts.watch(offline.died);
    options.onApi?.(offline.api_url);

    const lambda = new LambdaClient({
      endpoint: offline.lambda_url,
      region: REGION,
      credentials,
      // One attempt: a repeated invocation would be a second delivery that the queue knows nothing of.
      maxAttempts: 1,
      // Each call has its own connection. A kept connection may be closed by the other end at the moment when it is used again; the call would
      // fail, and its message would stay hidden for minutes.
      requestHandler: { httpAgent: { keepAlive: false, maxSockets: Number.POSITIVE_INFINITY } },
    });
    undo.push(() => lambda.destroy());
    const consumers = startEventSourceMappings({
      mappings: definition.event_source_mappings.map((mapping) => ({
        ...mapping,
        queue_url: queues.urls[mapping.queue] ?? '',
        queue_arn: queues.arns[mapping.queue] ?? '',
      })),
      sqs,
      region: REGION,
      invoke: invokeThroughLambda(lambda, `${definition.service}-${STAGE}-`),
      onError,
    });
    undo.push(consumers.stop);
    simulator.reportTo(offline.api_url, () =>
      identity.token({ subject: 'scooters-backend', scopes: ['devices:report'], expiresIn: '10m' }),
    );

    const iot_devices = options.iotFleet ? listIotDevices(options.iotFleet) : [];
    if (options.iotFleet && iot_devices.length > 0) {
      step('Starting the devices that poll');
      const api = createClient({
        url: offline.api_url,
        token: await identity.token({ subject: 'local-engineer', scopes: ['devices:write'], expiresIn: '10m' }),
        signal,
      });
      await registerAll(api, iot_devices);
      const iotFleet = await startIotFleet({
        ...options.iotFleet,
        url: offline.api_url,
        tenant: 'default',
        manifestKeys: publicKeysOf(signing),
        file: kept === undefined ? undefined : join(kept, 'simulator', 'iot-fleet.json'),
        issueToken: async ({ kind, external_id }) => (await api.issueDeviceToken(kind, external_id)).token,
      });
      undo.push(iotFleet.close);
    }

    const description: StackDescription = {
      api_url: offline.api_url,
      ddi_url: offline.api_url,
      token: await identity.token({ subject: 'local-engineer', expiresIn: '7d' }),
      issuer: identity.issuer,
      database_url,
      simulator_url: simulator.url,
      simulator_token: simulator.token,
      s3: { endpoint: endpoints.s3, bucket },
      sqs: { endpoint: endpoints.sqs, queue_urls: queues.urls },
      region: REGION,
      access_key_id: credentials.accessKeyId,
      secret_access_key: credentials.secretAccessKey,
      pid: process.pid,
    };
    const { stackFile } = options;
    if (stackFile !== undefined) {
      writePrivateFile(stackFile, `${JSON.stringify(description, null, 2)}\n`);
      undo.push(() => rm(stackFile, { force: true }));
    }
    signal.throwIfAborted();
    return {
      ...description,
      tokenFor: identity.token,
      iot_devices,
      queueDepth: async (queue) => queues.depth(queue),
      log_file,
      died: parts.ended,
      stop: undo.run,
    };
  } catch (error) {
    const cause = signal.aborted ? error : await causeOf(error, parts.ended);
    await undo.run();
    throw cause;
  }
}

interface AwsOptions {
  definition: StackDefinition;
  bucket: string;
  undo: Undo;
}

/** Our own S3 and fauxqs, in this process. */
async function startEmbeddedAws(
  options: AwsOptions & {
    credentials: { accessKeyId: string; secretAccessKey: string };
    ports: Ports;
    directory: string;
    queueDirectory: string | undefined;
  },
) {
  const { definition, bucket, undo, credentials, ports, directory, queueDirectory } = options;
  const queues = await startQueues({
    definitions: definition.queues,
    region: REGION,
    port: ports.sqs,
    ...(queueDirectory !== undefined && { directory: queueDirectory }),
  });
  undo.push(queues.close);
  const sqs = new SQSClient({ endpoint: queues.endpoint, region: REGION, credentials });
  undo.push(() => sqs.destroy());
  const s3 = await startS3Server({
    directory: join(directory, 's3'),
    port: ports.s3,
    credentials,
    buckets: [bucket],
    onObjectCreated: async (event, _bucket, key) => {
      for (const { queue } of definition.bucket_notifications.filter(isFor(key))) {
        await sqs.send(new SendMessageCommand({ QueueUrl: queues.urls[queue], MessageBody: JSON.stringify(event) }));
      }
    },
  });
  undo.push(s3.close);
  return { sqs, queues, credentials, endpoints: { s3: s3.url, sqs: queues.endpoint } };
}

/** Checks only that something answers by HTTP; whether it is the right emulator shows later. */
async function expectAnswer(endpoint: string): Promise<void> {
  try {
    await (await fetch(endpoint, { signal: AbortSignal.timeout(10_000) })).body?.cancel();
  } catch (cause) {
    throw new Error(`Nothing answers at ${endpoint}. Start the emulator first (docs/local.md), or leave out --aws.`, { cause });
  }
}

/** S3 and SQS of LocalStack or MiniStack: the bucket with its notifications and the queues, as serverless.yml has them. */
async function useEmulator({ definition, bucket, undo, endpoint }: AwsOptions & { endpoint: string }) {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const sqs = new SQSClient({ endpoint, region: REGION, credentials });
  undo.push(() => sqs.destroy());
  const s3 = new S3Client({ endpoint, region: REGION, credentials, forcePathStyle: true });
  try {
    const queues = await createQueues(sqs, definition.queues);
    await createBucket(s3, sqs, { bucket, region: REGION, queues, notifications: definition.bucket_notifications });
    return { sqs, queues, credentials, endpoints: { s3: endpoint, sqs: endpoint } };
  } catch (cause) {
    throw new Error(`S3 and SQS at ${endpoint} cannot be used: ${(cause as Error).message || (cause as { code?: string }).code}`, {
      cause,
    });
  } finally {
    s3.destroy();
  }
}

const isFor =
  (key: string) =>
  ({ prefix, suffix }: BucketNotification) =>
    key.startsWith(prefix) && key.endsWith(suffix);
