// `npm run bench`: the figures of a fleet of a million, against the bare SQL of the same calls. README.md says what they mean.
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { CompiledQuery, sql } from 'kysely';
import { startLocalIdentity } from '../dev/stack/local-identity.ts';
import { startPostgres } from '../dev/stack/postgres.ts';
import { type Undo, withUndo } from '../dev/stack/undo.ts';
import { createDatabase, type Db } from '../lib/db/database.ts';
import { migrateToLatest } from '../lib/db/migrate.ts';
import { createAuthenticate } from '../lib/http/authenticate.ts';
import { silentLog } from '../test/support/fixtures.ts';
import { benchAssembly, printAssembly } from './assembly.ts';
import { type Case, confirmations, listCases, reportsPerCall, stats } from './cases.ts';
import { type Measured, measure, percentile, printRow, type Sent } from './measure.ts';
import { measureMemory } from './memory.ts';
import { runPgbench } from './pgbench.ts';
import { seed } from './seed.ts';

const { values } = parseArgs({ options: { devices: { type: 'string', default: '1000000' } } });
const devices = Number(values.devices);
if (!Number.isInteger(devices) || devices < 60_000) throw new Error('--devices has to be 60000 or more: page 1,000 has to exist');

/** The settings of a small server. */
const settings = [
  ...['shared_buffers=2GB', 'effective_cache_size=6GB', 'work_mem=16MB', 'maintenance_work_mem=512MB'],
  ...['max_wal_size=8GB', 'random_page_cost=1.1'],
];

const turns = 5;
/** Calls before measuring, so that connections are open and code is compiled. */
const warmUpCalls = 20;

await withUndo(run);

async function run(undo: Undo): Promise<void> {
  console.log(`${cpus().length} cores (${cpus()[0]?.model}), ${gibibytes(totalmem())} of memory, Node ${process.version}\n`);
  const postgres = await startPostgres({ settings });
  undo.push(postgres.stop);
  const databaseUrl = await postgres.createDatabase('bench');
  await migrateToLatest(databaseUrl);
  await seed(databaseUrl, devices, (name, seconds) => console.log(`${seconds.toFixed(1).padStart(6)} s  ${name}`));

  const identity = await startLocalIdentity();
  undo.push(identity.close);
  const { issuer, audience, jwks_url } = identity;
  const sent: Sent[] = [];
  const onStatement = (statement: string, parameters: readonly unknown[]) => sent.push({ statement, parameters });
  const db = createDatabase({ url: databaseUrl, maxConnections: 1, onStatement });
  undo.push(() => db.destroy());
  await printSize(db);

  const deps = { db, authenticate: createAuthenticate({ issuer, audience, jwksUrl: jwks_url }), log: silentLog, now: () => new Date() };
  const cases = await listCases(deps, await identity.token({ subject: 'bench' }), devices);
  const measured = new Map<string, Compared>();
  printRow('call', 'statements', 'p50 ms', 'p99 ms', 'bare SQL p50 ms', 'p99 ms', 'ratio p50', 'ratio p99');
  printRow(...Array<string>(8).fill('---'));
  for (const one of cases) {
    const compared = await compare(one, databaseUrl, sent);
    measured.set(one.name, compared);
    printComparison(one.name, compared);
  }
  const { ours = [] } = measured.get(confirmations) ?? {};
  const seconds = ours.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1_000;
  console.log(`\n${Math.round((ours.length * reportsPerCall) / seconds)} reports/s stored by confirm-update on one connection\n`);

  // In place of autovacuum, which is off here so that it does not run during a measurement.
  await sql`SET statement_timeout = 0`.execute(db);
  await sql`VACUUM (ANALYZE)`.execute(db);
  const env = { DATABASE_URL: databaseUrl, JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWKS_URL: jwks_url };
  printRow('function', 'bundle KiB', 'memory after its calls MiB', 'at most MiB', 'of that JavaScript MiB');
  printRow(...Array<string>(5).fill('---'));
  for (const { bundle_bytes, rss, highestRss, heapUsed, ...row } of await measureMemory(cases, env)) {
    const mebibytes = [rss, highestRss, heapUsed].map((bytes) => Math.round(bytes / 1024 ** 2));
    printRow(row.function, Math.round(bundle_bytes / 1024), ...mebibytes);
  }
  await printPlan(db, measured.get(stats)?.ours.at(-1)?.sent[0]);

  console.log('\nPackages:\n');
  printAssembly(await benchAssembly());
}

async function printSize(db: Db): Promise<void> {
  const { rows } = await sql<{ total: number; table: string; bytes: number }>`
    SELECT pg_database_size(current_database()) AS total, relname AS table, pg_total_relation_size(oid) AS bytes
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY bytes DESC LIMIT 4`.execute(db);
  const total = rows[0]?.total ?? 0;
  const largest = rows.map(({ table, bytes }) => `${table} ${gibibytes(bytes)}`).join(', ');
  console.log(`\nDatabase: ${gibibytes(total)}, ${Math.round(total / devices)} bytes a device (${largest})\n`);
}

interface Compared {
  ours: Measured[];
  /** Milliseconds; empty without pgbench. */
  bare: number[];
}

/** Alternates between both, so that other work on the machine slows down both. */
async function compare({ handler, calls, callOf }: Case, databaseUrl: string, sent: Sent[]): Promise<Compared> {
  const callsFrom = (first: number, n: number) => Array.from({ length: n }, (_, i) => callOf(first + i));
  await measure(handler, callsFrom(calls, warmUpCalls), sent);
  const compared: Compared = { ours: [], bare: [] };
  const callsPerTurn = calls / turns;
  for (let turn = 0; turn < turns; turn += 1) {
    const ours = await measure(handler, callsFrom(turn * callsPerTurn, callsPerTurn), sent);
    compared.ours.push(...ours);
    // pgbench takes 128 scripts at most.
    const scripts = ours.slice(0, 100).map((call) => call.sent);
    compared.bare.push(...(runPgbench(databaseUrl, scripts, { transactions: callsPerTurn }) ?? []));
  }
  return compared;
}

function printComparison(name: string, { ours, bare }: Compared): void {
  const times = ours.map(({ milliseconds }) => milliseconds);
  const own = [percentile(times, 50), percentile(times, 99)];
  const theirs = [percentile(bare, 50), percentile(bare, 99)];
  const ratios = theirs.map((ms, i) => (own[i] ?? Number.NaN) / ms);
  const cells = bare.length > 0 ? [...own, ...theirs, ...ratios].map((n) => n.toFixed(2)) : [...own.map((n) => n.toFixed(2)), 'no pgbench'];
  printRow(name, ours.at(-1)?.sent.length ?? 0, ...cells);
}

async function printPlan(db: Db, sent: Sent | undefined): Promise<void> {
  if (!sent) return;
  const { rows } = await db.executeQuery<{ 'QUERY PLAN': string }>(
    CompiledQuery.raw(`EXPLAIN (ANALYZE, COSTS OFF) ${sent.statement}`, [...sent.parameters]),
  );
  console.log(`\n${stats}, how the database carries it out:\n`);
  for (const row of rows) console.log(row['QUERY PLAN']);
}

function gibibytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(2)} GiB`;
}
