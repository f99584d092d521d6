export type Timers = ReturnType<typeof createTimers>;

/**
 * Sleeps that can all be ended at once. After `clear` a sleep never resolves, so nothing that awaited one goes on.
 * Not AbortSignal: removing one of 100,000 listeners walks through all of them.
 */
export function createTimers() {
  const pending = new Set<NodeJS.Timeout>();
  let cleared = false;
  return {
    sleep: (ms: number) =>
      new Promise<void>((resolve) => {
        if (cleared) return;
        const timer = setTimeout(() => {
          pending.delete(timer);
          resolve();
        }, ms);
        pending.add(timer);
      }),
    clear() {
      cleared = true;
      for (const timer of pending) clearTimeout(timer);
      pending.clear();
    },
  };
}
