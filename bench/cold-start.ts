// `npm run bench:cold-start`: how large each function is, how long it takes to load and to answer its first request, and the memory it needs.
// README.md says what the figures mean.
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { stop as stopBundler } from 'esbuild';
import { startQueues } from '../dev/local-aws/queues.ts';
import { startS3Server } from '../dev/local-aws/s3-server.ts';
import { startSimulator } from '../dev/simulator/server.ts';
import { startLocalIdentity } from '../dev/stack/local-identity.ts';
import { startPostgres } from '../dev/stack/postgres.ts';
import { type Undo, withUndo } from '../dev/stack/undo.ts';
import { createDatabase } from '../lib/db/database.ts';
import { migrateToLatest } from '../lib/db/migrate.ts';
import { requestUpdate } from '../lib/update/plan/request-update.ts';
import { build } from '../ops/build.ts';
import { readServerlessFile } from '../ops/serverless-file.ts';
import { createSigningKeys } from '../ops/signing-keys.ts';
import { readStackDefinition } from '../ops/stack-definition.ts';
import { givenFirmware, updateRequest } from '../test/support/fixtures.ts';
import { createEvent } from '../test/support/http.ts';
import { InMemoryQueue } from '../test/support/in-memory-queue.ts';
import { sqsEvent } from '../test/support/s3-events.ts';
import { type Call, percentile, printRow } from './measure.ts';
import { type FunctionRun, runFunction } from './memory.ts';

/** How often each function is loaded; with an odd number the median is a measured value. */
const loads = 15;
const firstRequests = 5;
/** How many more chunks one process handles after its first events: a process of the update functions handles at most so many of one kind. */
const chunksAtWork = 7;
const chunk = 100;
const scooters = (firstRequests + chunksAtWork) * chunk;
const region = 'eu-central-1';
const bucket = 'bench';
const credentials = { accessKeyId: 'bench', secretAccessKey: 'bench-secret' };

await withUndo(run);

async function run(undo: Undo): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-cold-start-'));
  undo.push(() => rm(directory, { recursive: true }));
  const sizes = await build({ directory });
  await stopBundler();
  const bundleOf = (name: string) => join(directory, 'functions', name, 'index.js');
  const { env, eventsOf } = await startSurroundings(undo, directory, bundleOf);
  const { functions } = readServerlessFile();

  printRow('function', 'KiB minified', 'KiB gzip', 'load ratio', 'first answer ms', 'memory after it MiB', 'at most, at work MiB');
  printRow(...Array<string>(7).fill('---'));
  for (const [name, { minified_bytes, gzip_bytes }] of Object.entries(sizes)) {
    // A part of the SDK, which is no function.
    if (!functions[name]) continue;
    const row: (string | number)[] = [
      name,
      Math.round(minified_bytes / 1024),
      Math.round(gzip_bytes / 1024),
      measureLoad(bundleOf(name), env),
    ];
    const events = await eventsOf(name);
    const options = { env, memorySize: functions[name]?.memorySize ?? 512 };
    if (events) {
      const first: FunctionRun[] = [];
      for (const event of events.first) first.push(await runFunction(bundleOf(name), [event], options));
      const medianOf = (what: 'firstAnswer' | 'rss') =>
        percentile(
          Array.from(first, (one) => one[what]),
          50,
        );
      row.push(Math.round(medianOf('firstAnswer')), mebibytes(medianOf('rss')));
      const { highestRss } = events.atWork ? await runFunction(bundleOf(name), events.atWork, options) : { highestRss: 0 };
      row.push(mebibytes(Math.max(highestRss, ...first.map((one) => one.highestRss))));
    } else row.push('', '', '');
    printRow(...row);
  }
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 1024 ** 2);
}

/** Alternates with an empty script, so that other work on the machine slows down both. */
function measureLoad(bundle: string, env: Record<string, string>): string {
  const script = fileURLToPath(new URL('load.mjs', import.meta.url));
  const time = (...args: string[]) => {
    const started = performance.now();
    const { status, stderr } = spawnSync(process.execPath, [script, ...args], { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${args.join()} does not load: ${stderr}`);
    return performance.now() - started;
  };
  const ratios = Array.from({ length: loads }, () => time(pathToFileURL(bundle).href) / time());
  return percentile(ratios, 50).toFixed(2);
}

interface Events {
  /** Each for a new process. */
  first: unknown[];
  /** For one process, one after the other. */
  atWork?: unknown[];
}

/** What the functions stand on: a database with a fleet, S3, SQS, the backend, and an event for each function that finds something to do. */
async function startSurroundings(undo: Undo, directory: string, bundleOf: (name: string) => string) {
  const postgres = await startPostgres({});
  undo.push(postgres.stop);
  const databaseUrl = await postgres.createDatabase('bench');
  await migrateToLatest(databaseUrl);
  const db = createDatabase({ url: databaseUrl, maxConnections: 1 });
  undo.push(() => db.destroy());
  const identity = await startLocalIdentity();
  undo.push(identity.close);
  const server = await startS3Server({ directory: join(directory, 's3'), credentials, buckets: [bucket] });
  undo.push(server.close);
  const definitions = readStackDefinition({ stage: 'offline' }).queues;
  const queues = await startQueues({ definitions, region });
  undo.push(queues.close);
  const simulator = await startSimulator({ scooters, cabinets: 1, install_seconds: 3_600 });
  undo.push(simulator.close);
  const queueUrl = (id: string) => queues.urls[id] ?? '';
  const env: Record<string, string> = {
    ...{ DATABASE_URL: databaseUrl, JWT_ISSUER: identity.issuer, JWT_AUDIENCE: identity.audience, JWKS_URL: identity.jwks_url },
    ...{ BACKEND_URL: simulator.url, BACKEND_TOKEN: simulator.token, FIRMWARE_BUCKET: bucket, ...createSigningKeys() },
    ...{ ADVANCES_QUEUE_URL: queueUrl('AdvancesQueue'), DISPATCHES_QUEUE_URL: queueUrl('DispatchesQueue') },
    ...{ VERIFICATIONS_QUEUE_URL: queueUrl('VerificationsQueue'), OBSERVATIONS_QUEUE_URL: queueUrl('ObservationsQueue') },
    ...{ ASSEMBLIES_QUEUE_URL: queueUrl('AssembliesQueue'), REGISTRATIONS_QUEUE_URL: queueUrl('RegistrationsQueue') },
    ...{ AWS_ENDPOINT_URL_S3: server.url, AWS_ENDPOINT_URL_SQS: queues.endpoint },
    ...{ AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey, AWS_REGION: region },
    // What serverless.yml has as constants.
    ...{ DDI_TENANT: 'default', DDI_GATEWAY_TOKEN_SHA256: '', DDI_SELF_REGISTRATION: 'false', DDI_POLL_SECONDS: '300' },
    ...{ DDI_WAITING_POLL_SECONDS: '30', FIRST_EXECUTION_ID: '1', EVENT_BUS_NAME: '', POWERTOOLS_METRICS_DISABLED: 'false' },
  };

  const externalIds = Array.from({ length: scooters }, (_, i) => `S-${String(i + 1).padStart(5, '0')}`);
  const token = await identity.token({ subject: 'bench' });
  const http = (call: Omit<Call, 'token'>) => createEvent({ ...call, token });
  const devices = [
    ...externalIds.map((external_id, i) => ({ kind: 'scooter', external_id, version: (i % 2) + 1 })),
    { kind: 'cabinet', external_id: 'C-0001' },
  ];
  await runFunction(bundleOf('register-devices'), [http({ method: 'PUT', path: '/v1/devices', body: { devices } })], {
    env,
    memorySize: 1024,
  });
  const client = new S3Client({ endpoint: server.url, region, credentials, forcePathStyle: true });
  undo.push(() => client.destroy());
  const Key = 'firmwares/vega_mcu/1/firmware.bin';
  // Chunks of a firmware whose file is lost would be put back.
  const { VersionId: versionOfFile } = await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: Buffer.alloc(1_000) }));
  const firmware = await givenFirmware(db, { file_link: `s3://${bucket}/${Key}?versionId=${versionOfFile}` });
  // One update for each chunk, planned and not yet begun.
  const advances = new InMemoryQueue<{ update_id: number; step: number; created_dt: Date }>();
  for (let at = 0; at < scooters; at += chunk)
    await requestUpdate(
      { db, advances, now: () => new Date() },
      updateRequest({
        firmware_id: firmware.id,
        targets: { external_ids: externalIds.slice(at, at + chunk), kind: 'scooter' },
        canary: null,
      }),
    );
  const another = await givenFirmware(db, { hardware_type: 'vega_gsm' });
  const paused = await requestUpdate(
    { db, advances: new InMemoryQueue(), now: () => new Date() },
    updateRequest({ firmware_id: another.id, targets: { external_ids: externalIds.slice(0, 1), kind: 'scooter' } }),
  );
  const message = (body: object) => sqsEvent({ '1': body as Record<string, unknown> });
  const divided = (events: unknown[]): Events => ({ first: events.slice(0, firstRequests), atWork: events.slice(firstRequests) });
  const same = (event: () => unknown): Events => ({ first: Array.from({ length: firstRequests }, event) });
  const ofDispatches = async () => {
    const ids = await db.selectFrom('update_dispatches').select('id').orderBy('id').execute();
    return divided(ids.map(({ id }) => message({ dispatch_id: id })));
  };
  const reports = () => ({
    confirmations: Array.from({ length: 1_000 }, (_, i) => ({
      ...{ external_id: externalIds[i], hardware_type: 'vega_gsm', version: randomUUID(), status: 'SUCCEEDED' },
      occurred_dt: new Date().toISOString(),
    })),
  });
  const uploaded = async (n: number) => {
    const Key = `firmwares/audio_lock/1.${n}/firmware.bin`;
    const { VersionId = '' } = await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: Buffer.alloc(1_000_000, n) }));
    const s3 = { bucket: { name: bucket }, object: { key: Key, size: 1_000_000, versionId: VersionId, sequencer: '1' } };
    return message({ Records: [{ eventVersion: '2.1', eventSource: 'aws:s3', eventName: 'ObjectCreated:Put', s3 }] });
  };
  const get = (path: string, pathParameters?: Record<string, string>) =>
    same(() => http({ method: 'GET', path, ...(pathParameters && { pathParameters }) }));
  const name = () => `bench_${randomUUID().slice(0, 8)}`;
  const types = { device_kind: 'scooter', channel: 'telematics', scooter_versions: [1, 2], max_size_bytes: 1_000_000 };
  const targets = { external_ids: externalIds.slice(0, 1), kind: 'scooter' };

  const events: Record<string, () => Events | Promise<Events>> = {
    'edit-hardware-type': () => same(() => http({ method: 'POST', path: '/v1/hardware-types', body: { name: name(), ...types } })),
    'advance-update': () => divided(advances.take().map(message)),
    'confirm-update': () => {
      const event = () => http({ method: 'POST', path: '/v1/confirmations', body: reports() });
      return { ...same(event), atWork: Array.from({ length: 20 }, event) };
    },
    'control-update': () => same(() => http({ method: 'POST', path: '/v1/updates/{id}/pause', pathParameters: { id: String(paused.id) } })),
    'dispatch-update': ofDispatches,
    docs: () => get('/openapi.json'),
    'edit-firmware': () =>
      same(() =>
        http({ method: 'PATCH', path: '/v1/firmwares/{id}', pathParameters: { id: String(firmware.id) }, body: { comment: name() } }),
      ),
    'get-assemblies': () => get('/v1/assemblies'),
    'get-device-versions': () => get('/v1/scooters/{external_id}', { external_id: 'S-00001' }),
    'get-manifest': () => get('/v1/keys'),
    'get-observations': () => get('/v1/observations'),
    'get-stats': () => get('/v1/stats'),
    'get-updates': () => get('/v1/updates/{id}', { id: '1' }),
    'get-versions': () => get('/v1/firmwares/{id}', { id: String(firmware.id) }),
    health: () => get('/v1/health'),
    'issue-device-token': () =>
      same(() =>
        http({
          ...{ method: 'POST', path: '/v1/devices/{kind}/{external_id}/token' },
          pathParameters: { kind: 'cabinet', external_id: 'C-0001' },
        }),
      ),
    'list-devices': () => get('/v1/devices'),
    migrate: () => same(() => ({})),
    'observe-fleet': () => same(() => ({ targets: { filter: {} } })),
    'observe-versions': () => same(() => http({ method: 'POST', path: '/v1/observations', body: { targets } })),
    'register-devices': () => ({
      ...same(() => http({ method: 'PUT', path: '/v1/devices', body: { devices: devices.slice(0, 1) } })),
      atWork: Array.from({ length: 5 }, () => http({ method: 'PUT', path: '/v1/devices', body: { devices } })),
    }),
    'register-firmware': async () => {
      const all = [];
      for (let i = 0; i < firstRequests; i += 1) all.push(await uploaded(i));
      return { first: all };
    },
    'request-update': () =>
      same(() => http({ method: 'POST', path: '/v1/updates', body: { firmware_id: firmware.id, targets, dry_run: true } })),
    'upload-firmware': () =>
      same(() =>
        http({
          ...{ method: 'POST', path: '/v1/firmwares' },
          body: { hardware_type: 'vega_mcu', version: name(), size_bytes: 1_000, sha256: 'a'.repeat(64) },
        }),
      ),
    'verify-update': ofDispatches,
  };
  return { env, eventsOf: async (of: string) => events[of]?.() };
}
