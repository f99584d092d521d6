import type { Confirmation } from './contract.ts';
import type { Timers } from './timers.ts';

const maximumPerCall = 1000;
const callTimeoutMs = 30_000;
const longestDelayMs = 5000;
const longestRetryAfterMs = 30_000;
/** Client errors that are tried again: the token may be renewed, or the calls came too fast. */
const retriedStatuses = new Set([401, 403, 408, 429]);

export type Token = string | (() => Promise<string>);

export interface ReporterDeps {
  timers: Timers;
  log: (fields: Record<string, unknown>) => void;
  flushMs: number;
  retryMs: number;
  /** Called once for each call that ended for good, with the keys of its reports. */
  settled(keys: string[], how: 'delivered' | 'dropped'): void;
}

interface Owed {
  /** Missing for reports that may be lost (IN_PROGRESS). */
  key?: string;
  confirmation: Confirmation;
}

export type Reporter = ReturnType<typeof createReporter>;

/** Sends reports in the order they came, one call at a time, again and again until the updater has them. */
export function createReporter(deps: ReporterDeps) {
  const stop = new AbortController();
  const queue: Owed[] = [];
  const counts = { delivered: 0, dropped: 0 };
  let target: { url: string; token: Token } | undefined;
  let working = false;

  async function send(batch: Owed[], { url, token }: { url: string; token: Token }): Promise<{ status: number; retryAfterMs: number }> {
    const response = await fetch(`${url}/v1/confirmations`, {
      method: 'POST',
      headers: { authorization: `Bearer ${typeof token === 'string' ? token : await token()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ confirmations: batch.map(({ confirmation }) => confirmation) }),
      redirect: 'manual',
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(callTimeoutMs)]),
    });
    await response.arrayBuffer();
    const retryAfterMs = Number(response.headers.get('retry-after')) * 1000;
    return { status: response.status, retryAfterMs: retryAfterMs > 0 ? Math.min(retryAfterMs, longestRetryAfterMs) : 0 };
  }

  /** Sends until no report is left. After `close` a sleep never ends, and so this function does not either. */
  async function work(): Promise<void> {
    let failures = 0;
    await deps.timers.sleep(deps.flushMs);
    while (queue.length > 0 && target) {
      const batch = queue.slice(0, maximumPerCall);
      const answer = await send(batch, target).catch((error: Error) => ({
        status: 0,
        retryAfterMs: 0,
        error: String(error.cause ?? error),
      }));
      if (stop.signal.aborted) return;
      const delivered = answer.status >= 200 && answer.status < 300;
      if (!delivered && (answer.status < 400 || answer.status >= 500 || retriedStatuses.has(answer.status))) {
        failures += 1;
        deps.log({ msg: 'reports.retry', count: batch.length, failures, ...answer });
        const delayMs = Math.min(deps.retryMs * 2 ** (failures - 1), longestDelayMs);
        await deps.timers.sleep(Math.max(answer.retryAfterMs, delayMs * (0.5 + Math.random() / 2)));
        continue;
      }
      failures = 0;
      const how = delivered ? 'delivered' : 'dropped';
      if (!delivered) deps.log({ msg: 'reports.dropped', count: batch.length, status: answer.status });
      deps.settled(
        batch.flatMap(({ key }) => key ?? []),
        how,
      );
      queue.splice(0, batch.length);
      counts[how] += batch.length;
      if (queue.length < maximumPerCall) await deps.timers.sleep(deps.flushMs);
    }
    working = false; // in the same tick that saw the empty queue, so that no report comes in between and is forgotten
  }

  function start() {
    if (working || queue.length === 0 || !target) return;
    working = true;
    void work().catch((error) => {
      working = false;
      deps.log({ msg: 'reports.stopped', error: String(error) });
    });
  }

  return {
    add(confirmation: Confirmation, key?: string) {
      queue.push({ confirmation, ...(key !== undefined && { key }) });
      start();
    },
    /** Where reports go from now on. Until this is called for the first time they wait. */
    reportTo(url: string, token: Token) {
      target = { url: url.replace(/\/+$/, ''), token };
      start();
    },
    counts: () => ({ pending: queue.length, ...counts }),
    /** Ends a call under way and sends no more. */
    close: () => stop.abort(new Error('the simulator is closing')),
  };
}
