// `npm run bench:http`: what each kind of request costs at saturation, in processor time of functions and of PostgreSQL, compared with pgbench.
// README.md says what the figures mean.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stop as stopBundler } from 'esbuild';
import { sql } from 'kysely';
import { startQueues } from '../dev/local-aws/queues.ts';
import { startLocalIdentity } from '../dev/stack/local-identity.ts';
import { startPostgres } from '../dev/stack/postgres.ts';
import { type Undo, withUndo } from '../dev/stack/undo.ts';
import { createDatabase, type Db } from '../lib/db/database.ts';
import { migrateToLatest } from '../lib/db/migrate.ts';
import { build } from '../ops/build.ts';
import { readServerlessFile } from '../ops/serverless-file.ts';
import { createManifestKeys } from '../ops/signing-keys.ts';
import { readStackDefinition } from '../ops/stack-definition.ts';
import { startWire } from '../test/support/wire.ts';
import { type EngineFigures, measurePlanning, measureWalk } from './engine.ts';
import { bucket, type Fleet, givenFleet } from './fleet.ts';
import type { FrontOptions, FrontRoute } from './front.ts';
import { Connection, type Load, saturate, sendAtRate, type Unit } from './http-clients.ts';
import { type HttpLine, httpLines } from './http-lines.ts';
import { printMedians } from './http-medians.ts';
import { percentile, printRow, type Sent } from './measure.ts';
import { runPgbench } from './pgbench.ts';
import { parentOf, processorTime, processorTimeOfFamily } from './processor-time.ts';
import { startWaits } from './waits.ts';
import { startWritten } from './writes.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    short: { type: 'boolean', default: false },
    rate: { type: 'string' },
    profile: { type: 'string' },
    runs: { type: 'string' },
  },
});
const { short: isShort, profile } = values;
const chosen = values.only.split(',').filter((name) => name !== '');
const isChosen = (name: string) => (chosen.length === 0 ? values.rate === undefined : chosen.includes(name));

/** Clients, and connections that each function holds. */
const atOnce = 8;
/** The same for calls that keep a function's only thread busy for long: in a cloud each has a process of its own. */
const heavyAtOnce = 2;
const seconds = isShort ? 2 : 8;
const scooters = isShort ? 40_000 : 60_000;
const cabinets = isShort ? 1_500 : 4_000;
/** Before any counts: connections are open then, code is compiled, and plans are kept. */
const warmUpSeconds = 1;
const warmUpUnits = 400;
/** The least number of measured units, even if the machine is busy and this takes longer. */
const minimumUnits = 1_000;
const callsForPgbench = 8;
const million = isShort ? 100_000 : 1_000_000;
const walked = isShort ? 2_000 : 20_000;

/** Like a small server that keeps what it is told. */
const settings = [
  ...['fsync=on', 'synchronous_commit=on', 'full_page_writes=on', 'autovacuum=on', 'shared_buffers=1GB', 'work_mem=16MB'],
  ...['max_wal_size=8GB', 'random_page_cost=1.1', 'track_wal_io_timing=on'],
];

/** What units of lines that write have written, for the end. */
const writes: [title: string, what: string][] = [];

const routes: FrontRoute[] = Object.entries(readServerlessFile().functions).flatMap(([name, { events = [] }]) =>
  events.flatMap(({ http }) => (http ? [{ method: http.method.toUpperCase(), path: http.path, function: name }] : [])),
);

if (values.runs === undefined) await withUndo(run);
else {
  const lines = [...httpLines.map(({ name }) => name), 'telematics-update'].filter((name) => chosen.length === 0 || isChosen(name));
  const size = isShort ? ['--short'] : [];
  await printMedians(Number(values.runs), {
    each: ['--only', lines.join(), '--rate', values.rate ?? '500', ...size],
    once: ['--only', 'plan-million', ...size],
  });
}

async function run(undo: Undo): Promise<void> {
  console.log(`${cpus().length} cores (${cpus()[0]?.model}), Node ${process.version}\n`);
  const directory = await mkdtemp(join(tmpdir(), 'bench-http-'));
  undo.push(() => rm(directory, { recursive: true }));
  await build({ directory });
  await stopBundler();
  const postgres = await startPostgres({ settings });
  undo.push(postgres.stop);

  printRow(
    'line',
    'units/s',
    'p50 ms',
    'p99 ms',
    'CPU ms: function',
    'PostgreSQL',
    'sum',
    'statements',
    'round trips',
    'pgbench/s',
    'ratio',
    'ratio of CPU',
  );
  printRow(...Array<string>(12).fill('---'));
  const wanted = httpLines.filter(({ name }) => isChosen(name));
  if (wanted.length > 0 || values.rate !== undefined) {
    const databaseUrl = await postgres.createDatabase('bench');
    const bench = await startBench(undo, directory, databaseUrl);
    for (const line of wanted) await measureLine(bench, line);
    for (const [title, what] of writes) console.error(`${title} writes: ${what}`);
    if (values.rate !== undefined) await measureRate(bench, Number(values.rate));
  }
  for (const [name, measure] of [
    ['telematics-update', measureWalk(walked)],
    ['plan-million', measurePlanning(million)],
  ] as const) {
    if (!isChosen(name)) continue;
    const url = await postgres.createDatabase(name);
    await migrateToLatest(url);
    for (const figures of await measure(url, await familyOf(url))) printEngine(figures);
  }
}

interface Bench {
  fleet: Fleet;
  databaseUrl: string;
  token: string;
  directory: string;
  env: Record<string, string>;
  /** Processor time of PostgreSQL so far, in milliseconds. */
  postgresTime: () => number;
}

async function familyOf(databaseUrl: string): Promise<() => number> {
  const db = createDatabase({ url: databaseUrl, maxConnections: 1 });
  const { rows } = await sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`.execute(db);
  const postmaster = parentOf(rows[0]?.pid ?? 0);
  await db.destroy();
  return () => processorTimeOfFamily(postmaster);
}

async function startBench(undo: Undo, directory: string, databaseUrl: string): Promise<Bench> {
  await migrateToLatest(databaseUrl);
  const db = createDatabase({ url: databaseUrl, maxConnections: 1 });
  undo.push(() => db.destroy());
  const identity = await startLocalIdentity();
  undo.push(identity.close);
  const queues = await startQueues({ definitions: readStackDefinition({ stage: 'offline' }).queues, region: 'eu-central-1' });
  undo.push(queues.close);
  const others = await startOthers();
  undo.push(others.close);
  await sql`SET statement_timeout = 0`.execute(db);
  const fleet = await givenFleet(db, databaseUrl, { scooters, cabinets });
  await sql`CREATE TABLE bench_rows (id integer PRIMARY KEY, n integer NOT NULL)`.execute(db);
  await sql`INSERT INTO bench_rows SELECT n, 0 FROM generate_series(1, 100000) n`.execute(db);
  const queueUrl = (id: string) => queues.urls[id] ?? '';
  const env = {
    ...{ JWT_ISSUER: identity.issuer, JWT_AUDIENCE: identity.audience, JWKS_URL: identity.jwks_url },
    ...{ BACKEND_URL: others.url, BACKEND_TOKEN: 'bench', FIRMWARE_BUCKET: bucket, ...createManifestKeys() },
    ...{ ADVANCES_QUEUE_URL: queueUrl('AdvancesQueue'), DISPATCHES_QUEUE_URL: queueUrl('DispatchesQueue') },
    ...{ VERIFICATIONS_QUEUE_URL: queueUrl('VerificationsQueue'), DATABASE_MAX_CONNECTIONS: String(atOnce) },
    ...{ AWS_ENDPOINT_URL_S3: others.url, AWS_ENDPOINT_URL_SQS: queues.endpoint, AWS_REGION: 'eu-central-1' },
    ...{ AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench-secret' },
    // What serverless.yml has as constants.
    ...{ DDI_TENANT: 'default', DDI_GATEWAY_TOKEN_SHA256: '', DDI_SELF_REGISTRATION: 'false', DDI_POLL_SECONDS: '300' },
    ...{ DDI_WAITING_POLL_SECONDS: '30', EVENT_BUS_NAME: '', POWERTOOLS_METRICS_DISABLED: 'false' },
  };
  const token = await identity.token({ subject: 'bench' });
  return { fleet, databaseUrl, token, directory, env, postgresTime: await familyOf(databaseUrl) };
}

/** A backend that accepts everything at once, and a storage that has everything. */
async function startOthers() {
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const { commands = [] } = body === '' ? {} : (JSON.parse(body) as { commands?: { execution_id: number }[] });
    const results = commands.map(({ execution_id }) => ({ execution_id, outcome: 'accepted' }));
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ results }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The functions in a process of their own. */
async function startFront({ directory, env }: Bench, functions: readonly string[], databaseUrl: string, isProfiled = false) {
  const child = fork(fileURLToPath(new URL('front.ts', import.meta.url)), {
    execArgv: isProfiled && profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`] : [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { PATH: process.env['PATH'], ...env, DATABASE_URL: databaseUrl },
  });
  const bundles = Object.fromEntries(functions.map((name) => [name, join(directory, 'functions', name, 'index.js')]));
  child.send({ bundles, routes } satisfies FrontOptions);
  const [{ port }] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`The front ended with code ${code}`))),
  ])) as [{ port: number }];
  return {
    url: `http://127.0.0.1:${port}`,
    time: () => processorTime(child.pid ?? 0),
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      await ended;
    },
  };
}

/**
 * Makes a state, so that neither a checkpoint nor an automatic vacuum falls into what is measured next: the fleet of a real service was not inserted
 * a minute ago. The checkpoint comes first, because after it each page that changes is written as a whole once.
 */
async function inQuiet<State>(db: Db, make: () => Promise<State>): Promise<State> {
  await sql`CHECKPOINT`.execute(db);
  const state = await make();
  await sql`VACUUM ANALYZE`.execute(db);
  return state;
}

interface Wired {
  statements: number;
  trips: number;
  calls: Sent[][];
}

/** A few units one by one, through the relay that counts. */
async function countStatements(bench: Bench, { functions, reads }: HttpLine, units: Iterator<Unit>): Promise<Wired> {
  const wire = await startWire(bench.databaseUrl);
  const front = await startFront({ ...bench, env: { ...bench.env, DATABASE_MAX_CONNECTIONS: '1' } }, functions, wire.url);
  const connection = await Connection.open(front.url);
  const send = async () => {
    const { value, done } = units.next();
    if (done) throw new Error('There are too few units');
    for (const request of value) await connection.send(request);
    return wire.take();
  };
  try {
    await send();
    const taken: Awaited<ReturnType<typeof send>>[] = [];
    for (let n = 0; n < (reads ? callsForPgbench : 1); n += 1) taken.push(await send());
    const { sent, trips } = taken.at(-1) ?? { sent: [], trips: 0 };
    return { statements: sent.length, trips, calls: taken.map((call) => call.sent) };
  } finally {
    connection.close();
    await front.stop();
    await wire.close();
  }
}

async function measureLine(bench: Bench, line: HttpLine): Promise<void> {
  const { fleet, token, databaseUrl, postgresTime } = bench;
  const units = await inQuiet(fleet.db, () => line.prepare(fleet, token));
  const wired = await countStatements(bench, line, units);
  const front = await startFront(bench, line.functions, databaseUrl, true);
  const clients = line.isHeavy ? heavyAtOnce : atOnce;
  const connections = await Promise.all(Array.from({ length: clients }, () => Connection.open(front.url)));
  try {
    // Planning finds only so many devices.
    if (line.per < 10_000) await saturate(connections, units, { seconds: warmUpSeconds, atLeast: warmUpUnits / line.per });
    const written = line.reads ? undefined : await startWritten(fleet.db);
    const before = [front.time(), postgresTime()] as const;
    const load = await saturate(connections, units, { seconds, atLeast: minimumUnits / line.per });
    const [own, theirs] = [front.time() - before[0], postgresTime() - before[1]];
    if (written) writes.push([line.title, await written(load.times.length * line.per)]);
    if (load.times.length === 0) throw new Error(`${line.name}: there are too few units`);
    const pgbench = measurePgbench(bench, line, wired.calls);
    printLine(line, load, { own, theirs, wired, pgbench });
  } finally {
    for (const connection of connections) connection.close();
    await front.stop();
  }
}

interface Yardstick {
  rate: number;
  /** Processor time of PostgreSQL for each, in milliseconds. */
  each: number;
}

function measurePgbench(
  { databaseUrl, postgresTime }: Bench,
  { reads, isHeavy }: HttpLine,
  calls: readonly Sent[][],
): Yardstick | undefined {
  const oneRow = [{ statement: '\\set id random(1, 100000)\nUPDATE bench_rows SET n = n + 1 WHERE id = :id', parameters: [] }];
  const before = postgresTime();
  const times = runPgbench(databaseUrl, reads ? calls : [oneRow], { clients: isHeavy ? heavyAtOnce : atOnce, seconds: isShort ? 1 : 3 });
  if (!times) return undefined;
  return { rate: times.length / (isShort ? 1 : 3), each: (postgresTime() - before) / times.length };
}

function printLine(
  { title, per, reads }: HttpLine,
  { times, seconds: took }: Load,
  { own, theirs, wired, pgbench }: { own: number; theirs: number; wired: Wired; pgbench: Yardstick | undefined },
): void {
  const count = times.length * per;
  const rate = count / took;
  const each = (milliseconds: number) => (milliseconds / count).toFixed(per > 1 ? 4 : 3);
  const ratios = pgbench
    ? [pgbench.rate.toFixed(0), (rate / per / pgbench.rate).toFixed(3), reads ? (pgbench.each / (theirs / times.length)).toFixed(2) : '']
    : ['no pgbench', '', ''];
  const latencies = [50, 99].map((percent) => percentile(times, percent).toFixed(1));
  printRow(title, rate.toFixed(0), ...latencies, each(own), each(theirs), each(own + theirs), wired.statements, wired.trips, ...ratios);
}

function printEngine({ title, rate, own, theirs, statements, remark }: EngineFigures): void {
  const each = (milliseconds: number) => milliseconds.toFixed(4);
  printRow(title, rate.toFixed(0), '', '', each(own), each(theirs), each(own + theirs), statements, remark, '', '', '');
}

/** Open loop: confirmations and polls, each alone and both at once, at so many of each a second. */
async function measureRate(bench: Bench, rate: number): Promise<void> {
  const lineOf = (name: string) => httpLines.find((line) => line.name === name) as HttpLine;
  const front = await startFront(bench, ['confirm-update', 'iot-poll'], bench.databaseUrl, true);
  const { fleet, token } = bench;
  const [polls, confirmations] = await inQuiet(fleet.db, async () => [
    await lineOf('poll').prepare(fleet, token),
    await lineOf('confirm').prepare(fleet, token),
  ]);
  const at = { rate, seconds: isShort ? 4 : 20 };
  const send = (units: Iterator<Unit>) => sendAtRate(front.url, units, at);
  try {
    await sendAtRate(front.url, polls, { rate, seconds: 2 });
    await sendAtRate(front.url, confirmations, { rate, seconds: 2 });
    console.log(`\n${rate} a second of each, whatever the answers take:\n`);
    printRow('load', 'p50 ms', 'p99 ms', 'longest ms', 'refused', 'cores: functions', 'cores: PostgreSQL');
    printRow(...Array<string>(7).fill('---'));
    for (const [name, work] of [
      ['polls', () => Promise.all([send(polls)])],
      ['confirmations', () => Promise.all([send(confirmations)])],
      ['both: polls, confirmations', () => Promise.all([send(polls), send(confirmations)])],
    ] as const) {
      const waits = await startWaits(fleet.db);
      const before = [front.time(), bench.postgresTime()] as const;
      const loads = await work();
      const cores = [front.time() - before[0], bench.postgresTime() - before[1]].map((ms) => (ms / 1_000 / at.seconds).toFixed(2));
      const of = (percent: number) => loads.map(({ times }) => percentile(times, percent).toFixed(1)).join(', ');
      printRow(name, of(50), of(99), of(100), loads.map(({ refused }) => refused).join(', '), ...cores);
      console.error(`${name}: ${await waits()}`);
    }
  } finally {
    await front.stop();
  }
}
