import type { Db } from '../../lib/db/database.ts';
import { DomainError } from '../../lib/errors.ts';
import { type AdvanceObservationDeps, advanceObservation } from '../../lib/observation/advance-observation.ts';
import { ObserveMessage } from '../../lib/observation/messages.ts';
import { type Observation, ObservationRequest } from '../../lib/observation/observation.ts';
import { findObservation } from '../../lib/observation/observation-queries.ts';
import { requestObservation } from '../../lib/observation/request-observation.ts';
import type { DeviceVersions, KnownDevice } from '../../lib/ports/backend.ts';
import type { Queue, SendOptions } from '../../lib/ports/queue.ts';
import { silentLog, startOfTime, TestClock } from './fixtures.ts';
import { InMemoryBackend } from './in-memory-backend.ts';
import { type QueuedMessage, TimedQueues } from './timed-queues.ts';

/** The queue of observations, which can be told to fail. */
class ObservationQueue implements Queue<ObserveMessage> {
  readonly delays: number[] = [];
  /** How many of the next sends fail. */
  failures = 0;
  readonly #clock: TestClock;
  readonly #queues: TimedQueues;

  constructor(clock: TestClock) {
    this.#clock = clock;
    this.#queues = new TimedQueues(clock.now, { maximumReceives: 10 });
  }

  get waiting(): QueuedMessage[] {
    return this.#queues.messages;
  }

  async send(messages: readonly ObserveMessage[], options: SendOptions = {}): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new DomainError('queue.unavailable', 'The queue does not take messages');
    }
    this.#queues.send('observations', messages, options);
    this.delays.push(options.delaySeconds ?? 0);
  }

  /** Takes out the message that can be received first; the clock is moved to that time. */
  receive(): QueuedMessage | undefined {
    const message = this.#queues.receiveFirst(this.#clock);
    if (message) this.#queues.remove(message);
    return message;
  }

  /** Its work has failed: it comes again. */
  handBack(message: QueuedMessage): void {
    this.waiting.push(message);
  }
}

/** An observation's world: a clock, a queue and a backend of its own, on a database that tests share. */
export const createObservationWorld = (db: Db) => {
  const clock = new TestClock();
  const observations = new ObservationQueue(clock);
  const backend = new InMemoryBackend();
  const deps = { db, now: clock.now, log: silentLog, observations, backend };

  const request = (body: Record<string, unknown>) =>
    requestObservation(deps, {
      ...ObservationRequest.parse(body),
      idempotency_key: undefined,
      created_by: 'engineer',
      request_id: 'request-1',
    });

  /** With other dependencies, for example a database that fails. */
  const deliver = async ({ body }: { body: unknown }, overrides: Partial<AdvanceObservationDeps> = {}) =>
    advanceObservation({ ...deps, ...overrides }, ObserveMessage.parse(body), () => 29_000);

  /** The message that is visible first. */
  const next = () => {
    const message = observations.receive();
    if (!message) throw new Error('No message is waiting');
    return message;
  };

  /** Delivers messages until there are none; one that fails comes again. */
  const run = async ({ maximumDeliveries = 500 } = {}): Promise<void> => {
    for (let n = 0; n < maximumDeliveries; n += 1) {
      const message = observations.receive();
      if (!message) return;
      await deliver(message).catch(() => observations.handBack(message));
    }
    throw new Error(`The walk has not ended after ${maximumDeliveries} deliveries`);
  };

  const get = async (id: number): Promise<Observation> => {
    const observation = await findObservation(db, id, clock.now());
    if (!observation) throw new Error(`There is no observation ${id}`);
    return observation;
  };

  return { clock, deps, backend, observations, request, deliver, next, run, get };
};

/** A device as the backend knows it: it runs these versions by hardware type, and said so at `observed_dt`. */
export const inBackend = (
  external_id: string,
  versions: Record<string, string> = { vega_mcu: '1.0.0' },
  {
    kind = 'scooter',
    version = 1,
    observed_dt = startOfTime,
    since_dt = observed_dt,
  }: Partial<KnownDevice> & { observed_dt?: Date; since_dt?: Date } = {},
): KnownDevice & DeviceVersions => ({
  kind,
  external_id,
  version: kind === 'scooter' ? version : null,
  firmwares: Object.entries(versions).map(([hardware_type, installed]) => ({
    hardware_type,
    version: installed,
    since_dt: since_dt.toISOString(),
    observed_dt: observed_dt.toISOString(),
  })),
});
