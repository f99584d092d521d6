// Calls over HTTP as many clients send them: several at a time, over connections that are kept.
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
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

async function send(url: string, agent: Agent, call: Call): Promise<number> {
  const { httpMethod: method, path, headers, body } = createEvent(call);
  const started = performance.now();
  const { statusCode, answer } = await new Promise<{ statusCode: number | undefined; answer: string }>((resolve, reject) => {
    const sent = request(`${url}${path}`, { method, agent, headers: (headers ?? {}) as Record<string, string> }, (response) => {
      text(response).then((answer) => resolve({ statusCode: response.statusCode, answer }), reject);
    });
    sent.on('error', reject);
    sent.end(body ?? undefined);
  });
  if (statusCode !== 200) throw new Error(`${method} ${path} was answered ${statusCode}: ${answer}`);
  return performance.now() - started;
}
