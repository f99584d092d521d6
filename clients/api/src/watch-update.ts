import type { Client } from './client.ts';
import type { UpdateDetail } from './generated.ts';
import { wait } from './request.ts';

const quickSeconds = 2;
const usualSeconds = 5;
const pausedSeconds = 30;
const firstMinuteMilliseconds = 60_000;

/**
 * An update again and again until it has ended and its last device with it: every 2 s in the first minute that it is watched, then every
 * 5 s, every 30 s while it is paused. The last answer is the one with `finished_dt`.
 */
export async function* watchUpdate(client: Client, id: number, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<UpdateDetail> {
  const began = Date.now();
  for (;;) {
    const update = await client.getUpdate(id, signal ? { signal } : {});
    yield update;
    if (update.finished_dt !== null) return;
    const isNew = Date.now() - began < firstMinuteMilliseconds;
    await wait(update.status === 'PAUSED' ? pausedSeconds : isNew ? quickSeconds : usualSeconds, signal);
  }
}
