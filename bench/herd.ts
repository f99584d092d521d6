// `npm run bench:herd`: after a power cut, all devices that poll do so at one moment. Over HTTP, as `npm start` runs the service. README.md says
// what the figures mean.
import { Agent, request as sendRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type RawBuilder, sql } from 'kysely';
import { startStack } from '../dev/stack/stack.ts';
import { type Undo, withUndo } from '../dev/stack/undo.ts';
import { createDatabase } from '../lib/db/database.ts';
import { defaultPollIntervals } from '../lib/ddi/poll-interval.ts';
import { createEvent } from '../test/support/http.ts';
import { pollOf } from './ddi-calls.ts';
import { givenFleet } from './fleet.ts';
import { type Call, percentile, printRow } from './measure.ts';

const { values } = parseArgs({ options: { devices: { type: 'string', default: '1000' } } });
const cabinets = Number(values.devices);
if (!Number.isInteger(cabinets) || cabinets < 100) throw new Error('--devices has to be 100 or more');

await withUndo(run);

async function run(undo: Undo): Promise<void> {
  const stack = await startStack({ pollIntervals: defaultPollIntervals });
  undo.push(stack.stop);
  const { api_url: url, database_url } = stack;
  const db = createDatabase({ url: database_url, maxConnections: 1 });
  undo.push(() => db.destroy());
  const fleet = await givenFleet(db, database_url, { scooters: 1_000, cabinets });
  // Opens connections and compiles code before anything counts.
  await sendHerd(url, fleet.cabinets.slice(0, 100).map(pollOf));

  console.log(`${cabinets} polls at one moment:\n`);
  printRow('last seen', 'refused (503)', 'answers 503', 'half served after ms', '99 % ms', 'all ms');
  printRow(...Array<string>(6).fill('---'));
  const measure = async (name: string, last_seen_dt: RawBuilder<unknown>) => {
    await sql`UPDATE devices SET last_seen_dt = ${last_seen_dt} WHERE channel = 'iot'`.execute(db);
    const { served, refused, refusedCalls } = await sendHerd(url, fleet.cabinets.map(pollOf));
    printRow(name, refusedCalls, refused, ...[50, 99, 100].map((percent) => percentile(served, percent).toFixed(0)));
  };
  await measure('long ago: each is a write, too', sql`NULL`);
  await measure('a moment ago', sql`now()`);
}

interface Herd {
  /** Milliseconds from the one moment until each was answered 200. */
  served: number[];
  /** Answers 503. */
  refused: number;
  /** Calls that were refused at least once. */
  refusedCalls: number;
}

/**
 * Sends all calls at one moment, each over a connection of its own, and those answered 503 again when Retry-After says.
 *
 * @throws when any answer is neither 200 nor 503 with Retry-After.
 */
async function sendHerd(url: string, calls: readonly Call[]): Promise<Herd> {
  const agent = new Agent({ keepAlive: true });
  const herd: Herd = { served: [], refused: 0, refusedCalls: 0 };
  const began = performance.now();
  const persist = async (call: Call) => {
    for (let refusals = 0; ; refusals += 1) {
      const { statusCode, retryAfterSeconds, answer } = await send(url, agent, call);
      if (statusCode === 200) break;
      if (statusCode !== 503 || !retryAfterSeconds) throw new Error(`${call.path} was answered ${statusCode}: ${answer}`);
      herd.refused += 1;
      if (refusals === 0) herd.refusedCalls += 1;
      await sleep(retryAfterSeconds * 1_000);
    }
    herd.served.push(performance.now() - began);
  };
  try {
    await Promise.all(calls.map(persist));
    return herd;
  } finally {
    agent.destroy();
  }
}

function send(url: string, agent: Agent, call: Call) {
  const { httpMethod: method, path, headers } = createEvent(call);
  return new Promise<{ statusCode: number | undefined; retryAfterSeconds: number; answer: string }>((resolve, reject) => {
    const sent = sendRequest(`${url}${path}`, { method, agent, headers: (headers ?? {}) as Record<string, string> }, (response) => {
      const { statusCode, headers: answered } = response;
      text(response).then((answer) => resolve({ statusCode, retryAfterSeconds: Number(answered['retry-after'] ?? 0), answer }), reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}
