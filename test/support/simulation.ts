/**
 * Simulated time for real code: events happen in the order of their times, and the next one only when everything that runs has ended
 * or sleeps. A run is the same for the same random numbers.
 */
export class Simulation {
  readonly #events: { at: number; order: number; work: () => void }[] = [];
  readonly #setNow: (seconds: number) => void;
  #order = 0;
  #running = 0;
  #whenIdle: (() => void) | undefined;
  #failure: { error: unknown } | undefined;
  /** Seconds since the beginning. */
  seconds = 0;

  constructor(setNow: (seconds: number) => void) {
    this.#setNow = setNow;
  }

  /** Does something later. An error of it ends the simulation. */
  schedule(inSeconds: number, work: () => Promise<unknown>): void {
    this.#at(inSeconds, () => {
      this.#running += 1;
      work()
        .catch((error: unknown) => {
          this.#failure ??= { error };
        })
        .finally(() => this.#stopped());
    });
  }

  /** For what runs in here: others go on meanwhile. */
  async sleep(seconds: number): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#at(seconds, () => {
        this.#running += 1;
        resolve();
      });
    });
    this.#stopped();
    await woken;
  }

  /** Until nothing is left to do. */
  async run(maximumEvents = 100_000): Promise<void> {
    for (let count = 0; ; count += 1) {
      if (this.#running > 0) {
        await new Promise<void>((resolve) => {
          this.#whenIdle = resolve;
        });
      }
      if (this.#failure) throw this.#failure.error;
      this.#events.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = this.#events.shift();
      if (!next) return;
      if (count > maximumEvents) throw new Error('the simulation does not end');
      this.seconds = next.at;
      this.#setNow(next.at);
      next.work();
    }
  }

  #at(inSeconds: number, work: () => void): void {
    this.#order += 1;
    this.#events.push({ at: this.seconds + inSeconds, order: this.#order, work });
  }

  #stopped(): void {
    this.#running -= 1;
    if (this.#running > 0) return;
    const resolve = this.#whenIdle;
    this.#whenIdle = undefined;
    resolve?.();
  }
}
