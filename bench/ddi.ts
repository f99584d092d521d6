// `npm run bench:ddi`: what devices that poll cost, beside GET /v1/scooters/{external_id}: the functions alone, and over HTTP as `npm start`
// runs the service. README.md says what the figures mean.
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type RawBuilder, sql } from 'kysely';
import { type Client, createClient, registerAll, startUpdate } from '../clients/api/src/index.ts';
import { startLocalIdentity } from '../dev/stack/local-identity.ts';
import { startStack } from '../dev/stack/stack.ts';
import { type Undo, withUndo } from '../dev/stack/undo.ts';
import { createHandler as createGetDeviceVersions } from '../functions/get-device-versions/handler.ts';
import { createHandler as createConfigData } from '../functions/iot-config-data/handler.ts';
import { createHandler as createDeployment } from '../functions/iot-deployment/handler.ts';
import { createHandler as createFeedback } from '../functions/iot-feedback/handler.ts';
import { createHandler as createPoll } from '../functions/iot-poll/handler.ts';
import { createDatabase, type Db } from '../lib/db/database.ts';
import { createAuthenticateDevice } from '../lib/ddi/authenticate-device.ts';
import { type IssuedToken, issueFirstTokens } from '../lib/ddi/issue-device-token.ts';
import { defaultPollIntervals } from '../lib/ddi/poll-interval.ts';
import { createManifestSigner, parseManifestKeys } from '../lib/firmware/manifest.ts';
import { createAuthenticate } from '../lib/http/authenticate.ts';
import type { HttpHandler } from '../lib/http/endpoint.ts';
import { createManifestKeys } from '../ops/signing-keys.ts';
import { givenFirmware, silentLog } from '../test/support/fixtures.ts';
import { type CycleCall, configDataOf, cycleCalls, cycleOf, pollOf } from './ddi-calls.ts';
import { type NamedCall, sendHerd, sendLoad } from './http-load.ts';
import { type Call, type Measured, measure, percentile, printRow, type Sent } from './measure.ts';
import { externalIdOf, seed } from './seed.ts';

const { values } = parseArgs({ options: { devices: { type: 'string', default: '1000' } } });
const devices = Number(values.devices);
if (!Number.isInteger(devices) || devices < 100) throw new Error('--devices has to be 100 or more');
/** Clients that call at a time. */
const atOnce = 8;
/** The first one does not count: connections are opened in it, and code is compiled. */
const turns = 4;
const offerSeconds = 60;

const baseline = 'GET /v1/scooters/{external_id}';
const idlePoll = 'poll without work';

const now = () => new Date();
await withUndo(run);

async function run(undo: Undo): Promise<void> {
  const stack = await startStack({ pollIntervals: defaultPollIntervals });
  undo.push(stack.stop);
  const { api_url: url, database_url, token } = stack;
  await seed(database_url, devices, () => {});
  const sent: Sent[] = [];
  const onStatement = (statement: string, parameters: readonly unknown[]) => sent.push({ statement, parameters });
  const db = createDatabase({ url: database_url, maxConnections: 1, onStatement });
  undo.push(() => db.destroy());
  const api = createClient({ url, token });

  const cabinets = Array.from({ length: devices }, (_, i) => ({ kind: 'cabinet' as const, external_id: `C-${i + 1}` }));
  await registerAll(
    api,
    cabinets.map((cabinet) => ({ ...cabinet, version: null, channel: 'iot' as const })),
  );
  const issued = await issueFirstTokens({ db, now }, cabinets, 'bench');
  // As after the first minutes of their life: seen, and what they run known.
  const introduced = issued.map((device) => [pollOf(device), configDataOf(device, '0.1.0')].map((call) => ({ name: '', call })));
  await sendLoad(url, introduced, atOnce);
  // As autovacuum would, which is off here: without it every device is looked for among all cabinets.
  await sql`ANALYZE`.execute(db);

  const polls = issued.map((device) => [{ name: idlePoll, call: pollOf(device) }]);
  const gets = issued.map((_, i) => [{ name: baseline, call: getScooter(i, token) }]);
  const everyTurn = (clients: readonly NamedCall[][]) => Array.from({ length: turns }, () => clients);

  console.log(`${cpus().length} cores (${cpus()[0]?.model}), Node ${process.version}\n\nOver HTTP, ${atOnce} clients at a time:\n`);
  printRow('call', 'per second', 'p50 ms', 'p99 ms', ...['rate', 'p50', 'p99'].map((name) => `${name}, GET = 1`));
  printRow(...Array<string>(7).fill('---'));
  await compareOverHttp(url, everyTurn(gets), everyTurn(polls), idlePoll);
  const offered = await givenOffered(api, db, issued);
  const updates = offered.cycles.map((calls) => cycleCalls.map((name): NamedCall => ({ name, call: calls[name] })));
  const share = Math.ceil(devices / turns);
  const parts = Array.from({ length: turns }, (_, turn) => updates.slice(turn * share, (turn + 1) * share));
  await compareOverHttp(url, everyTurn(gets), parts, 'update: the six calls below');
  await offered.expectSucceeded();

  console.log(`\nAfter a power cut, ${devices} polls at one moment:\n`);
  printRow('last seen', 'refused (503)', 'answers 503', 'half served after ms', '99 % ms', 'all ms');
  printRow(...Array<string>(6).fill('---'));
  await measureHerd(url, db, issued, 'long ago: each is a write, too', sql`NULL`);
  await measureHerd(url, db, issued, 'a moment ago', sql`now()`);

  console.log('\nFunctions alone, one call after the other on one connection:\n');
  printRow('call', 'statements', 'p50 ms', 'p99 ms', 'p50, GET = 1', 'p99, GET = 1');
  printRow(...Array<string>(6).fill('---'));
  await measureAlone(undo, db, sent, issued, await givenOffered(api, db, issued.slice(0, Math.ceil(devices / 5))));
}

function getScooter(i: number, token: string): Call {
  const pathParameters = { external_id: externalIdOf(1 + (i % devices)) };
  return { method: 'GET', path: '/v1/scooters/{external_id}', pathParameters, token };
}

type Turns = readonly (readonly (readonly NamedCall[])[])[];

/** In turns, so that whatever else the machine does slows down both. */
async function compareOverHttp(url: string, baselineTurns: Turns, ownTurns: Turns, name: string): Promise<void> {
  const base = { clients: 0, seconds: 0, whole: [] as number[], times: new Map<string, number[]>() };
  const own = structuredClone(base);
  for (let turn = 0; turn < turns; turn += 1) {
    for (const [total, clients] of [[base, baselineTurns[turn] ?? []] as const, [own, ownTurns[turn] ?? []] as const]) {
      const { times, whole, seconds } = await sendLoad(url, clients, atOnce);
      if (turn === 0) continue;
      total.clients += clients.length;
      total.seconds += seconds;
      total.whole.push(...whole);
      for (const [call, each] of times) total.times.set(call, [...(total.times.get(call) ?? []), ...each]);
    }
  }
  const baseTimes = base.times.get(baseline) ?? [];
  const baseRate = base.clients / base.seconds;
  const print = (call: string, rate: number | undefined, times: readonly number[]) => {
    const [p50, p99] = [percentile(times, 50), percentile(times, 99)];
    const ratios = [p50 / percentile(baseTimes, 50), p99 / percentile(baseTimes, 99)];
    const rates = rate === undefined ? ['', ''] : [rate.toFixed(0), (rate / baseRate).toFixed(2)];
    printRow(call, rates[0] ?? '', p50.toFixed(1), p99.toFixed(1), rates[1] ?? '', ...ratios.map((ratio) => ratio.toFixed(2)));
  };
  print(baseline, baseRate, baseTimes);
  print(name, own.clients / own.seconds, own.whole);
  if (own.times.size > 1) for (const [call, times] of own.times) print(call, undefined, times);
}

async function measureHerd(url: string, db: Db, issued: readonly IssuedToken[], name: string, last_seen_dt: RawBuilder<unknown>) {
  await sql`UPDATE devices SET last_seen_dt = ${last_seen_dt} WHERE channel = 'iot'`.execute(db);
  const { served, refused, refusedCalls } = await sendHerd(url, issued.map(pollOf));
  printRow(name, refusedCalls, refused, ...[50, 99, 100].map((percent) => percentile(served, percent).toFixed(0)));
}

/** Resolves when each of the devices is offered its work, and answers the calls by which it does it. */
async function givenOffered(api: Client, db: Db, offered: readonly IssuedToken[]) {
  const { id: firmware_id, version } = await givenFirmware(db, { hardware_type: 'cabinet' });
  const targets = { kind: 'cabinet' as const, external_ids: offered.map(({ external_id }) => external_id) };
  const { id } = await startUpdate(api, { firmware_id, targets, canary: null, comment: '' });
  const deadline = Date.now() + offerSeconds * 1_000;
  for (;;) {
    const released = await db
      .selectFrom('update_executions as e')
      .innerJoin('devices as d', 'd.id', 'e.device_id')
      .select(['e.id', 'd.external_id'])
      .where('e.update_id', '=', id)
      .where('e.dispatch_id', 'is not', null)
      .execute();
    if (released.length === offered.length) {
      const actionIds = new Map(released.map((execution) => [execution.external_id, execution.id]));
      return {
        cycles: offered.map((device) => cycleOf(device, actionIds.get(device.external_id) ?? 0, version)),
        /** @throws unless each of them runs the version now: what does nothing must not look fast. */
        expectSucceeded: async () => {
          const { counts } = await api.getUpdate(id);
          if (counts.SUCCEEDED !== offered.length) throw new Error(`Not all were updated: ${JSON.stringify(counts)}`);
        },
      };
    }
    if (Date.now() > deadline) throw new Error(`${released.length} of ${offered.length} devices were offered their work`);
    await sleep(100);
  }
}

async function measureAlone(
  undo: Undo,
  db: Db,
  sent: Sent[],
  issued: readonly IssuedToken[],
  { cycles, expectSucceeded }: Awaited<ReturnType<typeof givenOffered>>,
): Promise<void> {
  const identity = await startLocalIdentity();
  undo.push(identity.close);
  const { issuer, audience, jwks_url } = identity;
  const token = await identity.token({ subject: 'bench' });
  const getDevice = createGetDeviceVersions({
    db,
    log: silentLog,
    authenticate: createAuthenticate({ issuer, audience, jwksUrl: jwks_url }),
  });
  const access = { tenants: ['default'], gatewayTokenSha256: null, selfRegistration: false };
  const deps = { db, now, log: silentLog, authenticate: createAuthenticateDevice({ db, now, access }) };
  const poll = createPoll({ ...deps, intervals: defaultPollIntervals, random: Math.random });
  const feedback = createFeedback(deps);
  const keys = parseManifestKeys(createManifestKeys().MANIFEST_SIGNING_KEYS);
  const handlers: Record<CycleCall, HttpHandler> = {
    poll,
    deploymentBase: createDeployment({ ...deps, signManifest: createManifestSigner(async () => keys, now) }),
    'feedback download': feedback,
    'feedback proceeding': feedback,
    'feedback closed': feedback,
    configData: createConfigData(deps),
  };

  const measured = new Map<string, Measured[]>();
  const add = async (name: string, handler: HttpHandler, calls: readonly Call[], counts: boolean) => {
    const each = await measure(handler, calls, sent);
    if (counts) measured.set(name, [...(measured.get(name) ?? []), ...each]);
  };
  const idle = issued.slice(cycles.length);
  const share = Math.ceil(cycles.length / turns);
  for (let turn = 0; turn < turns; turn += 1) {
    const counts = turn > 0;
    await add(
      baseline,
      getDevice,
      idle.map((_, i) => getScooter(i, token)),
      counts,
    );
    await add(idlePoll, poll, idle.map(pollOf), counts);
    const part = cycles.slice(turn * share, (turn + 1) * share);
    for (const name of cycleCalls)
      await add(
        name,
        handlers[name],
        part.map((calls) => calls[name]),
        counts,
      );
  }
  await expectSucceeded();
  const timesOf = (name: string) => (measured.get(name) ?? []).map(({ milliseconds }) => milliseconds);
  for (const name of [baseline, idlePoll, ...cycleCalls]) {
    const figures = [50, 99].map((percent) => percentile(timesOf(name), percent));
    const ratios = [50, 99].map((percent, i) => (figures[i] ?? 0) / percentile(timesOf(baseline), percent));
    const statements = new Set((measured.get(name) ?? []).map((call) => call.sent.length));
    printRow(name, [...statements].toSorted((a, b) => a - b).join(' or '), ...[...figures, ...ratios].map((n) => n.toFixed(2)));
  }
}
