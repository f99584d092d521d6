import type { HttpHandler } from '../lib/http/endpoint.ts';
import { createContext, createEvent } from '../test/support/http.ts';
import type { Sent } from '../test/support/wire.ts';

export type { Sent };

export type Call = Parameters<typeof createEvent>[0];

/** What a call took and sent. */
export interface Measured {
  milliseconds: number;
  sent: Sent[];
}

/**
 * Calls a function once for each of the events, one after the other, as in one process of Lambda. Measures the function's own work, from token
 * to answer.
 *
 * @param sent where the function's database notes what is sent to it.
 * @throws when any answer is not 200, because a fast failure must not count as a fast answer.
 */
export async function measure(handler: HttpHandler, calls: readonly Call[], sent: Sent[]): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (const event of calls.map(createEvent)) {
    sent.length = 0;
    const started = performance.now();
    const { statusCode, body } = await handler(event, createContext());
    const milliseconds = performance.now() - started;
    if (statusCode !== 200) throw new Error(`${event.httpMethod} ${event.resource} was answered ${statusCode}: ${body}`);
    measured.push({ milliseconds, sent: [...sent] });
  }
  return measured;
}

/** Nearest rank. */
export const percentile = (times: readonly number[], percent: number): number =>
  times.toSorted((a, b) => a - b)[Math.ceil((percent / 100) * times.length) - 1] ?? Number.NaN;

/** Of a table in Markdown. */
export const printRow = (...cells: readonly (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`);
