// Calls over HTTP as many clients send them: several at a time, over connections that are kept.
import { Agent, request as sendRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { createEvent } from '../test/support/http.ts';
import type { Call } from './measure.ts';

/** A call, and what its times are counted under. */
export interface NamedCall {
  name: string;
  call: Call;
}

export interface Load {
  /** Milliseconds of each call, from the first byte sent to the last one received. */
  times: Map<string, number[]>;
  /** Milliseconds of all calls of each client together. */
  whole: number[];
  seconds: number;
}

/**
 * Sends the calls of `clients` one after the other, so many clients at a time.
 *
 * @throws when any answer is not 200: what fails fast must not look fast.
 */
export async function sendLoad(url: string, clients: readonly (readonly NamedCall[])[], atOnce: number): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  const load: Load = { times: new Map(), whole: [], seconds: 0 };
  const left = clients.values();
  const began = performance.now();
  const work = async () => {
    for (const calls of left) {
      const started = performance.now();
      for (const { name, call } of calls) {
        const times = load.times.get(name) ?? [];
        load.times.set(name, times);
        times.push(await send(url, agent, call));
      }
      load.whole.push(performance.now() - started);
    }
  };
  try {
    await Promise.all(Array.from({ length: atOnce }, work));
    load.seconds = (performance.now() - began) / 1_000;
    return load;
  } finally {
    agent.destroy();
  }
}

export interface Herd {
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
export async function sendHerd(url: string, calls: readonly Call[]): Promise<Herd> {
  const agent = new Agent({ keepAlive: true });
  const herd: Herd = { served: [], refused: 0, refusedCalls: 0 };
  const began = performance.now();
  const persist = async (call: Call) => {
    for (let refusals = 0; ; refusals += 1) {
      const { statusCode, retryAfterSeconds, answer } = await request(url, agent, call);
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

async function send(url: string, agent: Agent, call: Call): Promise<number> {
  const started = performance.now();
  const { statusCode, answer } = await request(url, agent, call);
  if (statusCode !== 200) throw new Error(`${call.method} ${call.path} was answered ${statusCode}: ${answer}`);
  return performance.now() - started;
}

function request(url: string, agent: Agent, call: Call) {
  const { httpMethod: method, path, headers, body } = createEvent(call);
  return new Promise<{ statusCode: number | undefined; retryAfterSeconds: number; answer: string }>((resolve, reject) => {
    const sent = sendRequest(`${url}${path}`, { method, agent, headers: (headers ?? {}) as Record<string, string> }, (response) => {
      const { statusCode, headers: answered } = response;
      text(response).then((answer) => resolve({ statusCode, retryAfterSeconds: Number(answered['retry-after'] ?? 0), answer }), reject);
    });
    sent.on('error', reject);
    sent.end(body ?? undefined);
  });
}
