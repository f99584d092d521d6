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

/** As in serverless.yml. */
const visibilityTimeoutSeconds = 174;
const maximumReceives = 10;

interface Waiting {
  body: string;
  visible_dt: Date;
  receives: number;
}

/** A queue that shows each message at its time by the test's clock, and again when its work failed, as SQS does. */
export class TimedQueue implements Queue<ObserveMessage> {
  readonly waiting: Waiting[] = [];
  readonly delays: number[] = [];
  /** How many of the next sends fail. */
  failures = 0;
  readonly #clock: TestClock;

  constructor(clock: TestClock) {
    this.#clock = clock;
  }

  async send(messages: readonly ObserveMessage[], { delaySeconds = 0 }: SendOptions = {}): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new DomainError('queue.unavailable', 'The queue does not take messages');
    }
    if (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > 900) throw new Error(`SQS knows no delay of ${delaySeconds}`);
    const visible_dt = new Date(this.#clock.now().getTime() + delaySeconds * 1000);
    this.delays.push(delaySeconds);
    this.waiting.push(...messages.map((message) => ({ body: JSON.stringify(message), visible_dt, receives: 0 })));
  }

  /** The message that is visible first; the clock is moved to that time. */
  receive(): Waiting | undefined {
    const first = this.waiting.toSorted((a, b) => a.visible_dt.getTime() - b.visible_dt.getTime())[0];
    if (!first) return undefined;
    this.waiting.splice(this.waiting.indexOf(first), 1);
    if (first.receives === maximumReceives) throw new Error('A message is in the dead-letter queue');
    this.#clock.advance(Math.max(0, (first.visible_dt.getTime() - this.#clock.now().getTime()) / 1000));
    return { ...first, receives: first.receives + 1 };
  }

  handBack(message: Waiting): void {
    this.waiting.push({ ...message, visible_dt: new Date(this.#clock.now().getTime() + visibilityTimeoutSeconds * 1000) });
  }
}

/** An observation's world: a clock, a queue and a backend of its own, on a database that tests share. */
export const createObservationWorld = (db: Db) => {
  const clock = new TestClock();
  const observations = new TimedQueue(clock);
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
  const deliver = async ({ body }: { body: string }, overrides: Partial<AdvanceObservationDeps> = {}) =>
    advanceObservation({ ...deps, ...overrides }, ObserveMessage.parse(JSON.parse(body)), () => 29_000);

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
    const observation = await findObservation(db, id);
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
