// HTTP clients that cost hardly anything: requests are made beforehand, and only the needed part of answers is read.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createEvent } from '../test/support/http.ts';
import type { Call } from './measure.ts';

/** A call as it goes over the wire. */
export function toRequest(call: Call): Buffer {
  const { httpMethod, path, headers, queryStringParameters, body } = createEvent(call);
  const query = queryStringParameters ? `?${new URLSearchParams(queryStringParameters as Record<string, string>)}` : '';
  const all = { Host: 'bench.test', ...headers, ...(body !== null && { 'Content-Length': Buffer.byteLength(body) }) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return Buffer.from(`${[`${httpMethod} ${path}${query} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n${body ?? ''}`);
}

/** A connection that is kept, with one request on it at a time. */
export class Connection {
  readonly #socket: Socket;
  #received: Buffer[] = [];
  #length = 0;
  #expected = 0;
  #bodyAt = 0;
  #done: ((answer: string) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', (error) => this.#failed?.(error));
    socket.on('close', () => this.#failed?.(new Error('The connection was closed')));
  }

  static async open(url: string): Promise<Connection> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** @throws {@link Refused} when the answer is not 200, because a fast failure must not count as a fast answer. */
  send(request: Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) throw new Error('The connection was closed before the request');
      this.#done = resolve;
      this.#failed = reject;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#failed = undefined;
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#length += chunk.length;
    if (this.#expected === 0) {
      const head = Buffer.concat(this.#received).toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.#bodyAt = end + 4;
      this.#expected = this.#bodyAt + Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    }
    if (this.#length < this.#expected) return;
    const answer = Buffer.concat(this.#received).toString('utf8');
    this.#received = [];
    this.#length = 0;
    this.#expected = 0;
    if (answer.startsWith('HTTP/1.1 20')) this.#done?.(answer.slice(this.#bodyAt));
    else this.#failed?.(new Refused(`A request was answered: ${answer.slice(0, 2_000)}`));
  }
}

/** A unit of work: its requests, one after the other. */
export type Unit = readonly Buffer[];

class Refused extends Error {}

export interface Load {
  /** Milliseconds of each unit. */
  times: number[];
  seconds: number;
}

export interface LoadAtRate extends Load {
  /** How many units had a request that was not answered with 200. Their times do not count. */
  refused: number;
}

/**
 * Runs one client on each connection. Each sends its next unit as soon as the last one is done, until the time is up and at least `atLeast`
 * units are done, or no more units are left.
 */
export async function saturate(
  connections: readonly Connection[],
  units: Iterator<Unit>,
  { seconds, atLeast }: { seconds: number; atLeast: number },
): Promise<Load> {
  const times: number[] = [];
  const began = performance.now();
  const end = began + seconds * 1_000;
  const work = async (connection: Connection) => {
    while (performance.now() < end || times.length < atLeast) {
      const { value, done } = units.next();
      if (done) return;
      const started = performance.now();
      for (const request of value) await connection.send(request);
      times.push(performance.now() - started);
    }
  };
  await Promise.all(connections.map(work));
  return { times, seconds: (performance.now() - began) / 1_000 };
}

/** The same at a fixed rate, whatever is answered and when: times count from the moment when a unit should have been sent. */
export async function sendAtRate(
  url: string,
  units: Iterator<Unit>,
  { rate, seconds }: { rate: number; seconds: number },
): Promise<LoadAtRate> {
  const idle: Connection[] = [];
  const all: Connection[] = [];
  const times: number[] = [];
  const pending: Promise<void>[] = [];
  let refused = 0;
  const began = performance.now();
  const send = async (unit: Unit, intended: number) => {
    let connection = idle.pop();
    if (!connection) {
      connection = await Connection.open(url);
      all.push(connection);
    }
    try {
      for (const request of unit) await connection.send(request);
      times.push(performance.now() - intended);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refused += 1;
    }
    idle.push(connection);
  };
  try {
    for (let n = 0; n < rate * seconds; n += 1) {
      const intended = began + (n * 1_000) / rate;
      const wait = intended - performance.now();
      if (wait > 0.5) await sleep(wait);
      const { value, done } = units.next();
      if (done) break;
      pending.push(send(value, intended));
    }
    await Promise.all(pending);
    return { times, refused, seconds: (performance.now() - began) / 1_000 };
  } finally {
    for (const connection of all) connection.close();
  }
}
