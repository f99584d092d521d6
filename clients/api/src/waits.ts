import type { Client } from './client.ts';
import type { WaitsFor } from './generated.ts';

/** What executions wait for, so many of those that were looked at. */
export interface Wait {
  cause: WaitsFor['cause'];
  count: number;
  /** Since when the first of them waits, where that is known. */
  since_dt: string | null;
  /** When the first of them goes on at the earliest, where that is known. */
  until_dt: string | null;
}

const lookedAt = 200;

/**
 * What the devices of an update wait for that nobody has asked yet, the most frequent cause first. Looks at the first 200 of them, which tells
 * why an update stands still without reading all of a large one.
 */
export const waitsOf = async (client: Client, updateId: number, { signal }: { signal?: AbortSignal } = {}): Promise<Wait[]> => {
  const { items } = await client.listExecutions(updateId, { status: 'QUEUED', limit: lookedAt }, signal ? { signal } : {});
  const waits = new Map<string, Wait>();
  for (const { waits_for } of items) {
    if (waits_for === null) continue;
    const { cause, since_dt, until_dt } = waits_for;
    const { count, ...first } = waits.get(cause) ?? { count: 0, since_dt, until_dt };
    waits.set(cause, { cause, count: count + 1, since_dt: earlier(first.since_dt, since_dt), until_dt: earlier(first.until_dt, until_dt) });
  }
  return [...waits.values()].sort((a, b) => b.count - a.count);
};

const earlier = (a: string | null, b: string | null): string | null => (a === null || (b !== null && b < a) ? b : a);
